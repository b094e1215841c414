// SPDX-License-Identifier: BSD-3-Clause
/*
 * "show schema json": the JSON schema (draft 4) of what "show info json" and "show stat json" answer.
 *
 * Runs on: control threads. Follows: HAProxy 2.6 management guide 9.3; the fields and their order are
 * those of its schema, so that what is generated from one reads the other.
 */
#include "control/stats/field.h"
#include "control/stats/table.h"

/* A quote would need a backslash in each of these: an apostrophe stands for it. */
static void
quoted(const struct field_out *o, const char *text)
{
	for (; *text != '\0'; text++)
		o->add(o->ctx, *text == '\'' ? "\"" : text, 1);
}

static void
value(const struct field_out *o, const char *type, const char *kind, const char *range)
{
	char text[256];
	struct sl_buf b;

	sl_buf_init(&b, text, sizeof(text) - 1);
	sl_buf_printf(&b,
		"'%sValue':{'properties':{'type':{'type':'string','enum':['%s']},"
		"'value':{'type':'%s'%s}},'required':['type','value']},",
		type, type, kind, range);
	text[b.len] = '\0';
	quoted(o, text);
}

static void
definitions(const struct field_out *o)
{
	static const char *const types[] = { "s32", "s64", "u32", "u64", "str" };

	quoted(o,
		"'definitions':{"
		"'field':{'type':'object','pos':{'type':'integer','minimum':0},"
		"'name':{'type':'string'},'required':['pos','name']},"
		"'processNum':{'type':'integer','minimum':1},"
		"'tags':{'type':'object','origin':{'type':'string','enum':['Metric','Status','Key',"
		"'Config','Product','Unknown']},"
		"'nature':{'type':'string','enum':['Gauge','Limit','Min','Max','Rate','Counter',"
		"'Duration','Age','Time','Name','Output','Avg', 'Unknown']},"
		"'scope':{'type':'string','enum':['Cluster','Process','Service','System','Unknown']},"
		"'required':['origin','nature','scope']},"
		"'typedValue':{'type':'object','oneOf':[");
	for (size_t i = 0; i < SL_ARRAY_SIZE(types); i++)
		field_printf(o, "%s{\"$ref\":\"#/definitions/typedValue/definitions/%sValue\"}",
			i > 0 ? "," : "", types[i]);
	quoted(o, "],'definitions':{");
	value(o, "s32", "integer", ",'minimum':-2147483648,'maximum':2147483647");
	// what a double holds exactly
	value(o, "s64", "integer", ",'minimum':-9007199254740991,'maximum':9007199254740991");
	value(o, "u32", "integer", ",'minimum':0,'maximum':4294967295");
	value(o, "u64", "integer", ",'minimum':0,'maximum':9007199254740991");
	value(o, "str", "string", "");
	quoted(o,
		"'unknownValue':{'properties':{'type':{'type':'integer','minimum':0},"
		"'value':{'type':'string','enum':['unknown']}},'required':['type','value']}}}}");
}

void
schema_dump(const struct field_out *o)
{
	quoted(o,
		"{'$schema':'http://json-schema.org/draft-04/schema#','oneOf':["
		"{'title':'Info','type':'array','items':{'title':'InfoItem','type':'object',"
		"'properties':{'field':{'$ref':'#/definitions/field'},"
		"'processNum':{'$ref':'#/definitions/processNum'},"
		"'tags':{'$ref':'#/definitions/tags'},"
		"'value':{'$ref':'#/definitions/typedValue'}},"
		"'required':['field','processNum','tags','value']}},"
		"{'title':'Stat','type':'array','items':{'title':'InfoItem','type':'object',"
		"'properties':{'objType':{'enum':['Frontend','Backend','Listener','Server','Unknown']},"
		"'proxyId':{'type':'integer','minimum':0},'id':{'type':'integer','minimum':0},"
		"'field':{'$ref':'#/definitions/field'},"
		"'processNum':{'$ref':'#/definitions/processNum'},"
		"'tags':{'$ref':'#/definitions/tags'},"
		"'typedValue':{'$ref':'#/definitions/typedValue'}},"
		"'required':['objType','proxyId','id','field','processNum','tags','value']}},"
		"{'title':'Error','type':'object','properties':{'errorStr':{'type':'string'}},"
		"'required':['errorStr']}],");
	definitions(o);
	quoted(o, "}");
}
