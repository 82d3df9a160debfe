#include "store/sha256.h"

#include <openssl/evp.h>

int sha256_init(struct sha256 *s)
{
        struct sha256 made = { EVP_MD_CTX_new(), EVP_MD_fetch(NULL, "SHA256", NULL) };

        if (!made.ctx || !made.digest || EVP_DigestInit_ex(made.ctx, made.digest, NULL) != 1) {
                sha256_release(&made);
                return -ENOMEM;
        }
        *s = made;
        return 0;
}

void sha256_release(struct sha256 *s)
{
        EVP_MD_CTX_free(s->ctx);
        EVP_MD_free(s->digest);
        *s = (struct sha256){ 0 };
}

int sha256_update(struct sha256 *s, const void *data, size_t len)
{
        return EVP_DigestUpdate(s->ctx, data, len) == 1 ? 0 : -EIO;
}

int sha256_reset(struct sha256 *s)
{
        return EVP_DigestInit_ex(s->ctx, s->digest, NULL) == 1 ? 0 : -ENOMEM;
}

int sha256_final(struct sha256 *s, uint8_t ret_hash[SHA256_SIZE])
{
        uint8_t hash[SHA256_SIZE];

        if (EVP_DigestFinal_ex(s->ctx, hash, NULL) != 1)
                return -EIO;
        memcpy(ret_hash, hash, sizeof hash);
        return sha256_reset(s);
}

int sha256_bytes(const void *data, size_t len, uint8_t ret_hash[SHA256_SIZE])
{
        cleanup_sha256 struct sha256 s = { 0 };
        int r = sha256_init(&s);

        if (r == 0)
                r = sha256_update(&s, data, len);
        return r < 0 ? r : sha256_final(&s, ret_hash);
}
