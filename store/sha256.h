/* sha256.h: SHA-256, by OpenSSL's libcrypto: what trust in the store rests on.
 *
 * For the parts that fill and check a store; a mount never needs it.
 *
 * Threads: a struct sha256 belongs to one thread at a time; different ones are independent. */
#ifndef FUSEPKG_SHA256_H
#define FUSEPKG_SHA256_H

#include "store/base.h"

struct sha256 {
        void *ctx;    /* EVP_MD_CTX */
        void *digest; /* EVP_MD, fetched once: a fetch for each message takes longer than hashing a small file */
};

/* S is the caller's storage.  -ENOMEM.  After init, and after each final, it stands at the start of a new message. */
int sha256_init(struct sha256 *s);
void sha256_release(struct sha256 *s); /* an all-zero one is fine */
int sha256_update(struct sha256 *s, const void *data, size_t len);
int sha256_final(struct sha256 *s, uint8_t ret_hash[SHA256_SIZE]);

/* Forgets what was added since the last final. */
int sha256_reset(struct sha256 *s);

/* One message at once. */
int sha256_bytes(const void *data, size_t len, uint8_t ret_hash[SHA256_SIZE]);

static inline void cleanup_sha256_(struct sha256 *s)
{
        sha256_release(s);
}

#define cleanup_sha256 __attribute__((cleanup(cleanup_sha256_)))

#endif
