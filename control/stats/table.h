/* SPDX-License-Identifier: BSD-3-Clause */
/* The rows of "show stat" and the lines of "show info". Main. */
#pragma once

#include "control/check/check.h"
#include "control/stats/field.h"
#include "control/stats/rates.h"

enum stat_field {
#define F(sym, name, tags, help) ST_##sym,
#define MARK()
#include "control/stats/stat_fields.def"
#undef F
#undef MARK
	ST_NR
};
enum info_field {
#define I(pos, sym, name, tags, help) INF_##sym,
#include "control/stats/info_fields.def"
#undef I
	INF_NR
};

/* What the tables are filled from. */
struct stats_src {
	struct lcore *const *lc;
	uint16_t nlc;
	const struct model *model;
	struct bal_shared *bal;
	const struct checks *checks;
	const struct rates *rates;
	struct log *log;
	uint64_t start; // wall seconds
	uint32_t maxconn;
	bool stopping;
};

enum stat_row { ROW_FRONTEND, ROW_BACKEND, ROW_SERVER, ROW_LISTENER };
/* Texts that a row refers to. */
struct stat_texts {
	char addr[64], status[32], check[24];
};
void stat_fill_frontend(const struct stats_src *s, const struct proxy *p, struct field *f);
void stat_fill_backend(const struct stats_src *s, const struct proxy *p, struct field *f);
void stat_fill_server(const struct stats_src *s, const struct server *srv, struct field *f,
	struct stat_texts *t);
void stat_fill_listener(const struct stats_src *s, const struct listen_addr *b, struct field *f,
	struct stat_texts *t);

enum stat_form { FORM_CSV, FORM_TYPED, FORM_JSON };
struct stat_query {
	enum stat_form form;
	int64_t iid, type, sid; // -1: all; type: bits 1 frontends, 2 backends, 4 servers, 8 listeners
	bool up, no_maint;      // only servers that are up; none in maintenance
	bool desc;
};
void stat_dump(const struct stats_src *s, const struct stat_query *q, const struct field_out *o);

struct info_texts {
	char uptime[48], host[256];
};
void info_fill(const struct stats_src *s, struct field *f, struct info_texts *t);
void info_dump(const struct stats_src *s, enum stat_form form, bool desc, const struct field_out *o);

/* The JSON schema of both. */
void schema_dump(const struct field_out *o);
