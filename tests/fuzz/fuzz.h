/* fuzz.h: what the fuzz drivers share. */
#ifndef FUSEPKG_FUZZ_H
#define FUSEPKG_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Has to survive any bytes; the drivers also check what must hold of whatever was accepted. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An assertion that stays on and says where. */
#define FUZZ_CHECK(condition)                                                              \
        do {                                                                               \
                if (!(condition)) {                                                        \
                        fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
                        abort();                                                           \
                }                                                                          \
        } while (0)

#endif
