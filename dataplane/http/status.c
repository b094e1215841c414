// SPDX-License-Identifier: BSD-3-Clause
/*
 * Names of methods and statuses.
 *
 * Runs on: any thread; pure. Reasons are those of RFC 9110 15 and the registry; methods compare
 * case-sensitively (RFC 9110 9.1).
 */
#include "dataplane/http/http.h"

#include <errno.h>

static const char *const method_names[HTTP_NR_METHODS] = {
	[HTTP_OPTIONS] = "OPTIONS",
	[HTTP_GET] = "GET",
	[HTTP_HEAD] = "HEAD",
	[HTTP_POST] = "POST",
	[HTTP_PUT] = "PUT",
	[HTTP_DELETE] = "DELETE",
	[HTTP_TRACE] = "TRACE",
	[HTTP_CONNECT] = "CONNECT",
	[HTTP_OTHER] = "OTHER",
};

static enum http_method
is_method(struct sl_str s, enum http_method m)
{
	return memcmp(s.p, method_names[m], s.len) == 0 ? m : HTTP_OTHER;
}

enum http_method
http_method_find(struct sl_str s)
{
	switch (s.len) {
	case 3:
		return s.p[0] == 'G' ? is_method(s, HTTP_GET) : is_method(s, HTTP_PUT);
	case 4:
		return s.p[0] == 'P' ? is_method(s, HTTP_POST) : is_method(s, HTTP_HEAD);
	case 5:
		return is_method(s, HTTP_TRACE);
	case 6:
		return is_method(s, HTTP_DELETE);
	case 7:
		return s.p[0] == 'O' ? is_method(s, HTTP_OPTIONS) : is_method(s, HTTP_CONNECT);
	default:
		return HTTP_OTHER;
	}
}

const char *
http_method_name(enum http_method m)
{
	return (unsigned int)m < HTTP_NR_METHODS ? method_names[m] : "?";
}

// clang-format off
/* HAProxy's words, which scripts and caches in front of it may have learnt to expect. */
static const struct {
	uint16_t status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" }, { 301, "Moved Permanently" }, { 302, "Moved Temporarily" }, { 304, "Not Modified" },
	{ 404, "Not Found" }, { 503, "Service Unavailable" }, // the frequent ones first
	{ 100, "Continue" }, { 101, "Switching Protocols" }, { 102, "Processing" },
	{ 103, "Early Hints" },
	{ 201, "Created" }, { 202, "Accepted" }, { 203, "Non-Authoritative Information" },
	{ 204, "No Content" }, { 205, "Reset Content" }, { 206, "Partial Content" },
	{ 207, "Multi-Status" }, { 210, "Content Different" }, { 226, "IM Used" },
	{ 300, "Multiple Choices" }, { 303, "See Other" }, { 305, "Use Proxy" },
	{ 307, "Temporary Redirect" }, { 308, "Permanent Redirect" }, { 310, "Too many Redirects" },
	{ 400, "Bad Request" }, { 401, "Unauthorized" }, { 402, "Payment Required" },
	{ 403, "Forbidden" }, { 405, "Method Not Allowed" }, { 406, "Not Acceptable" },
	{ 407, "Proxy Authentication Required" }, { 408, "Request Time-out" }, { 409, "Conflict" },
	{ 410, "Gone" }, { 411, "Length Required" }, { 412, "Precondition Failed" },
	{ 413, "Request Entity Too Large" }, { 414, "Request-URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 416, "Requested range unsatisfiable" }, { 417, "Expectation failed" },
	{ 418, "I'm a teapot" }, { 421, "Misdirected Request" }, { 422, "Unprocessable Content" },
	{ 423, "Locked" },
	{ 424, "Method failure" }, { 425, "Too Early" }, { 426, "Upgrade Required" },
	{ 428, "Precondition Required" }, { 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" }, { 449, "Retry With" },
	{ 450, "Blocked by Windows Parental Controls" },
	{ 451, "Unavailable For Legal Reasons" }, { 456, "Unrecoverable Error" },
	{ 499, "client has closed connection" },
	{ 500, "Internal Server Error" }, { 501, "Not Implemented" }, { 502, "Bad Gateway or Proxy Error" },
	{ 504, "Gateway Time-out" }, { 505, "HTTP Version not supported" },
	{ 506, "Variant also negotiate" }, { 507, "Insufficient storage" },
	{ 508, "Loop detected" }, { 509, "Bandwidth Limit Exceeded" },
	{ 510, "Not extended" },
	{ 511, "Network authentication required" },
	{ 520, "Web server is returning an unknown error" },
};
// clang-format on

const char *
http_reason(uint16_t status)
{
	for (uint32_t i = 0; i < SL_ARRAY_SIZE(reasons); i++) {
		if (reasons[i].status == status)
			return reasons[i].reason;
	}
	switch (status / 100) { // HAProxy's words for the others
	case 1:
		return "Informational";
	case 2:
		return "Success";
	case 3:
		return "Redirection";
	case 4:
		return "Client Error";
	case 5:
		return "Server Error";
	default:
		return "Other";
	}
}

static const uint16_t error_status[HTTP_ERRORS] = { 200, 400, 401, 403, 404, 405, 407, 408, 410, 413,
	421, 422, 425, 429, 500, 501, 502, 503, 504 };

int
http_error_index(uint16_t status)
{
	for (uint32_t i = 0; i < HTTP_ERRORS; i++) {
		if (error_status[i] == status)
			return (int)i;
	}
	return -ENOENT;
}

uint16_t
http_error_at(uint32_t i)
{
	return error_status[i];
}
