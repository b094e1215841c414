/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/proxy (survey): what main may ask about streams of a worker, in small steps.
 *
 * Main fills the first part of a struct survey and sends its address (XMSG_SURVEY); the worker does a
 * bounded piece of the work, at most SURVEY_ROWS rows or SURVEY_STEP places, sets `told` and says so
 * (XMSG_SURVEYED, as far as the ring has room). The memory is main's; it is the worker's from the
 * message until `told`. Going on is one more message, so that no question holds up traffic.
 */
#pragma once

#include "dataplane/base/addr.h"
#include "dataplane/base/pool.h"
#include "dataplane/lcore/lcore.h"

enum survey_what {
	SURVEY_STREAMS,     // rows of live streams; `one`: of that alone
	SURVEY_KILL,        // ends the stream `one`; n is 1 if it was there
	SURVEY_KILL_SERVER, // ends all streams at the server slot
	SURVEY_ERRORS,      // captured messages that were malformed, one a step
};
#define SURVEY_ROWS  32u
#define SURVEY_STEP  1024u
#define SURVEY_KILLS 16u   // a step
#define SURVEY_BAD   1024u // bytes kept of a malformed head

/* One end of a stream. */
struct survey_end {
	bool open, host;   // host: over a socket of the kernel
	const char *state; // of TCP, by its RFC's name; "-" without a connection
	struct ip_port local, remote;
	uint32_t queued, received; // bytes that wait: to be acknowledged, to be taken
};
/* A proxy or server of the stream's generation, which may not be main's any more. */
struct survey_name {
	int32_t id; // -1: none
	bool http;  // of a proxy
	uint32_t len;
	char text[48];
};
struct survey_row {
	struct sl_handle id;
	uint32_t unique;
	struct survey_name fe, be, srv;
	const char *phase; // "QUEUE"
	uint8_t phase_nr;
	bool parked, kept;
	char term[2];
	uint8_t retries;
	uint32_t flags;
	uint64_t start_wall_us;
	uint32_t age_ms;
	/* milliseconds until these dates, -1: not armed */
	int32_t cli_ms, srv_ms, wait_ms, req_ms;
	uint64_t bytes_in, bytes_out;
	uint16_t status;
	uint32_t line_len;
	char line[64]; // beginning of the request line
	struct survey_end cli, back;
};
/* A malformed head. */
struct survey_bad {
	uint64_t wall_us; // 0: an empty place
	uint64_t event;   // counts up per worker
	struct survey_name fe, be, srv;
	bool response;
	const char *why;     // of the parser
	uint32_t pos;        // of the byte that is to blame
	uint32_t total, len; // received, kept
	struct ip_port src;
	char text[SURVEY_BAD];
};

struct survey {
	/* ==== main writes before it sends ==== */
	uint32_t what; // enum survey_what
	bool has_one;
	struct sl_handle one;
	uint32_t slot; // of a server
	uint32_t next; // place to go on from; the worker advances it
	/* ==== worker writes ==== */
	uint32_t n;      // rows, or streams that were ended
	bool end;        // nothing is left
	uint64_t events; // SURVEY_ERRORS: captured ever
	union {
		struct survey_row row[SURVEY_ROWS];
		struct survey_bad bad;
	};
	_Atomic(bool) told;
};
