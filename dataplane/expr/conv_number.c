// SPDX-License-Identifier: BSD-3-Clause
/*
 * Converters on integers: arithmetic that stays at the ends of its range, bits, truth.
 *
 * Runs on: workers and script threads. Operands are numbers or variables; an unset variable gives
 * no result, as in HAProxy.
 */
#include "dataplane/expr/expr_priv.h"

#include "dataplane/base/hot.h"

enum { N_ADD, N_SUB, N_MUL, N_DIV, N_MOD, N_AND, N_OR, N_XOR };

static bool
operand(const struct txn_view *v, const struct arg *a, int64_t *out, struct arena *mem)
{
	struct sample var;

	if (a->type == ARG_SINT) {
		*out = a->i;
		return true;
	}
	if (v == NULL || !var_read(v->vars, a->scope, a->s, &var, mem))
		return false;
	if (!sample_cast(&var, T_SINT, NULL)) // to a number needs no memory
		return false;
	*out = var.i;
	return true;
}

static int64_t
add(int64_t a, int64_t b)
{
	int64_t r;

	if (__builtin_add_overflow(a, b, &r))
		return b > 0 ? INT64_MAX : INT64_MIN;
	return r;
}

static int64_t
sub(int64_t a, int64_t b)
{
	int64_t r;

	if (__builtin_sub_overflow(a, b, &r))
		return b < 0 ? INT64_MAX : INT64_MIN;
	return r;
}

static int64_t
mul(int64_t a, int64_t b)
{
	int64_t r;

	if (__builtin_mul_overflow(a, b, &r))
		return (a < 0) == (b < 0) ? INT64_MAX : INT64_MIN;
	return r;
}

static int64_t
quotient(int64_t a, int64_t b)
{
	if (b == 0 || (a == INT64_MIN && b == -1))
		return INT64_MAX;
	return a / b;
}

static int64_t
remainder_of(int64_t a, int64_t b)
{
	return b == 0 || b == -1 ? 0 : a % b;
}

static bool
conv_binary(const struct txn_view *v, struct sample *s, const struct arg *args, struct arena *mem,
	uintptr_t priv)
{
	int64_t b;

	if (!operand(v, &args[0], &b, mem))
		return false;
	switch (priv) {
	case N_ADD:
		s->i = add(s->i, b);
		break;
	case N_SUB:
		s->i = sub(s->i, b);
		break;
	case N_MUL:
		s->i = mul(s->i, b);
		break;
	case N_DIV:
		s->i = quotient(s->i, b);
		break;
	case N_MOD:
		s->i = remainder_of(s->i, b);
		break;
	case N_AND:
		s->i &= b;
		break;
	case N_OR:
		s->i |= b;
		break;
	default:
		s->i ^= b;
		break;
	}
	s->type = T_SINT;
	return true;
}

static bool
conv_neg(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args sl_unused,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	s->i = sub(0, s->i);
	s->type = T_SINT;
	return true;
}

static bool
conv_cpl(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args sl_unused,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	s->i = ~s->i;
	s->type = T_SINT;
	return true;
}

static bool
conv_bool(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args sl_unused,
	struct arena *mem sl_unused, uintptr_t priv)
{
	s->i = (s->i != 0) == (priv != 0);
	s->type = T_BOOL;
	return true;
}

static bool
conv_odd(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args sl_unused,
	struct arena *mem sl_unused, uintptr_t priv)
{
	s->i = (s->i & 1) == (int64_t)priv;
	s->type = T_BOOL;
	return true;
}

static bool
conv_iif(const struct txn_view *v sl_unused, struct sample *s, const struct arg *args,
	struct arena *mem sl_unused, uintptr_t priv sl_unused)
{
	s->s = s->i != 0 ? args[0].s : args[1].s;
	s->type = T_STR;
	return true;
}

// clang-format off
SL_CONVERTERS(
	{ "add",  conv_binary, SL_ARGS(1, ARG_INTVAR), T_SINT, T_SINT, WHERE_PURE,
		"sum with a number or variable", N_ADD },
	{ "sub",  conv_binary, SL_ARGS(1, ARG_INTVAR), T_SINT, T_SINT, WHERE_PURE,
		"difference to a number or variable", N_SUB },
	{ "mul",  conv_binary, SL_ARGS(1, ARG_INTVAR), T_SINT, T_SINT, WHERE_PURE,
		"product with a number or variable", N_MUL },
	{ "div",  conv_binary, SL_ARGS(1, ARG_INTVAR), T_SINT, T_SINT, WHERE_PURE,
		"quotient by a number or variable", N_DIV },
	{ "mod",  conv_binary, SL_ARGS(1, ARG_INTVAR), T_SINT, T_SINT, WHERE_PURE,
		"remainder by a number or variable", N_MOD },
	{ "and",  conv_binary, SL_ARGS(1, ARG_INTVAR), T_SINT, T_SINT, WHERE_PURE,
		"bitwise and", N_AND },
	{ "or",   conv_binary, SL_ARGS(1, ARG_INTVAR), T_SINT, T_SINT, WHERE_PURE,
		"bitwise or", N_OR },
	{ "xor",  conv_binary, SL_ARGS(1, ARG_INTVAR), T_SINT, T_SINT, WHERE_PURE,
		"bitwise exclusive or", N_XOR },
	{ "cpl",  conv_cpl,    SL_NOARGS, T_SINT, T_SINT, WHERE_PURE, "bitwise complement" },
	{ "neg",  conv_neg,    SL_NOARGS, T_SINT, T_SINT, WHERE_PURE, "opposite number" },
	{ "bool", conv_bool,   SL_NOARGS, T_SINT, T_BOOL, WHERE_PURE, "true if not zero", 1 },
	{ "not",  conv_bool,   SL_NOARGS, T_SINT, T_BOOL, WHERE_PURE, "true if zero", 0 },
	{ "even", conv_odd,    SL_NOARGS, T_SINT, T_BOOL, WHERE_PURE, "true if even", 0 },
	{ "odd",  conv_odd,    SL_NOARGS, T_SINT, T_BOOL, WHERE_PURE, "true if odd", 1 },
	{ "iif",  conv_iif,    SL_ARGS(2, ARG_STR, ARG_STR), T_BOOL, T_STR, WHERE_PURE,
		"one of two strings, for true and false" },
);
// clang-format on
