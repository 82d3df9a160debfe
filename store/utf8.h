/* utf8.h: is it UTF-8, and can it be shown?  Source: RFC 3629: shortest forms only, no surrogates, nothing above
 * U+10FFFF. */
#ifndef FUSEPKG_UTF8_H
#define FUSEPKG_UTF8_H

#include "store/base.h"

/* Decodes the character that begins at P, of LEFT bytes (at least one); returns how many it has, or 0 when they are
 * not UTF-8. */
size_t utf8_decode(const char *p, size_t left, uint32_t *ret);
bool utf8_is_valid(const char *text, size_t len);

/* No control, format, surrogate or private character and no noncharacter (Unicode's categories Cc, Cf, Cs, Co): what a
 * terminal may act upon, or what nobody sees.  Unassigned ones pass: which they are depends on the version of
 * Unicode. */
bool utf8_is_printable(uint32_t c);

#endif
