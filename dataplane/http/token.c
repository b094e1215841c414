// SPDX-License-Identifier: BSD-3-Clause
/*
 * Character classes of HTTP as one table, and the two questions that other folders ask.
 *
 * Runs on: any thread; pure. Follows RFC 9110 5.5 and 5.6.2, RFC 3986 for hosts and targets.
 */
#include "dataplane/http/token.h"

#include "dataplane/http/http.h"

#define T HTTP_C_TOKEN
#define U HTTP_C_TARGET
#define V HTTP_C_VALUE
#define H HTTP_C_HOST
#define X HTTP_C_HEX
#define D HTTP_C_DIGIT
#define A HTTP_C_ALPHA

// clang-format off
const uint8_t http_class[256] = {
	['\t'] = V, [' '] = V,
	['!'] = T|U|V|H, ['"'] = U|V, ['#'] = T|V, ['$'] = T|U|V|H, ['%'] = T|U|V|H,
	['&'] = T|U|V|H, ['\''] = T|U|V|H, ['('] = U|V|H, [')'] = U|V|H, ['*'] = T|U|V|H,
	['+'] = T|U|V|H, [','] = U|V, ['-'] = T|U|V|H, ['.'] = T|U|V|H, ['/'] = U|V,
	['0' ... '9'] = T|U|V|H|X|D,
	[':'] = U|V, [';'] = U|V|H, ['<'] = U|V, ['='] = U|V|H, ['>'] = U|V, ['?'] = U|V,
	['@'] = U|V,
	['A' ... 'F'] = T|U|V|H|X|A, ['G' ... 'Z'] = T|U|V|H|A,
	['['] = U|V, ['\\'] = U|V, [']'] = U|V, ['^'] = T|U|V, ['_'] = T|U|V|H, ['`'] = T|U|V,
	['a' ... 'f'] = T|U|V|H|X|A, ['g' ... 'z'] = T|U|V|H|A,
	['{'] = U|V, ['|'] = T|U|V, ['}'] = U|V, ['~'] = T|U|V|H,
	[0x80 ... 0xff] = V, // obs-text
};
// clang-format on

bool
http_is_token(struct sl_str s)
{
	return s.len > 0 && none_of(s, bad_token);
}

bool
http_is_value(struct sl_str s)
{
	return none_of(s, bad_value);
}
