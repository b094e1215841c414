/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keyword tables that register themselves.
 *
 * A table is a const array of rows at the bottom of the file that implements them. SL_KWTAB puts a
 * pointer to its descriptor into the linker section of its kind; registry_open() walks the section
 * once. Every row type starts with `const char *name`. Libraries that hold tables must be linked
 * with link_whole, or their tables are silently absent (registry_open returns -ENOENT for an empty
 * kind, and a test counts rows).
 */
#pragma once

#include "dataplane/base/base.h"

struct sl_kwtab {
	const void *rows;
	uint32_t row_size;
	uint32_t count;
	const char *file;
};

#define SL_KWTAB(kind, type, ...)                                                                  \
	static const type sl_rows_##kind[] = { __VA_ARGS__ };                                      \
	static const struct sl_kwtab sl_tab_##kind = { sl_rows_##kind, sizeof(type),               \
		SL_ARRAY_SIZE(sl_rows_##kind), __FILE__ };                                         \
	static const struct sl_kwtab *const sl_ptr_##kind                                          \
		__attribute__((used, section("sl_kw_" #kind))) = &sl_tab_##kind
