#include "store/sha256.h"

#include <setjmp.h>

#include <cmocka.h>

/* FIPS 180-4's examples. */
static void known_messages_have_known_hashes(void **state)
{
        static const struct {
                const char *message, *hash;
        } cases[] = {
                { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
                { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
                { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                uint8_t hash[SHA256_SIZE];
                char hex[SHA256_HEX_SIZE];

                assert_int_equal(sha256_bytes(cases[i].message, strlen(cases[i].message), hash), 0);
                hex_encode(hash, sizeof hash, hex);
                assert_string_equal(hex, cases[i].hash);
        }
}

static void one_context_serves_message_after_message(void **state)
{
        cleanup_sha256 struct sha256 s = { 0 };
        uint8_t once[SHA256_SIZE], pieces[SHA256_SIZE];

        (void)state;
        assert_int_equal(sha256_init(&s), 0);
        assert_int_equal(sha256_bytes("abc", 3, once), 0);
        for (int i = 0; i < 3; i++) {
                assert_int_equal(sha256_update(&s, "a", 1), 0);
                assert_int_equal(sha256_update(&s, "bc", 2), 0);
                assert_int_equal(sha256_final(&s, pieces), 0);
                assert_memory_equal(once, pieces, SHA256_SIZE);
        }
        assert_int_equal(sha256_update(&s, "forgotten", 9), 0);
        assert_int_equal(sha256_reset(&s), 0);
        assert_int_equal(sha256_update(&s, "abc", 3), 0);
        assert_int_equal(sha256_final(&s, pieces), 0);
        assert_memory_equal(once, pieces, SHA256_SIZE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(known_messages_have_known_hashes),
                cmocka_unit_test(one_context_serves_message_after_message),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
