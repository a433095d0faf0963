/* What tests of bad arguments begin with: every function of the queue with all of its arguments, each valid; and what
 * is put in their place. */
#ifndef TESTS_QUEUE_CALLS_H
#define TESTS_QUEUE_CALLS_H

#include "queue/queue.h"

static const struct {
    QueueFn fn;
    const char *args; /* valid ones; $a is a live token */
} calls[] = {
    {QUEUE_SUBMIT, "{'id':'bbbbbb0001','user':'ada','kind':'sample','model':'digits','images':4,'priority':1,'needs':['"
                   "model:digits'],"
                   "'name':'n','device':'cpu','after':['aaaaaa0001'],'spec':{'t_list':[0,20],'seed':1},'tier':'normal',"
                   "'after_failed':'run',"
                   "'max_gpus':2,'at':1,'window':'00:00-23:59','group':'g','point':{'seed':1},'new':true}"},
    {QUEUE_CANCEL, "{'id':'aaaaaa0009','user':'ada'}"},
    {QUEUE_HOLD, "{'id':'aaaaaa0002','user':'ada','reason':'r'}"},
    {QUEUE_RELEASE, "{'id':'aaaaaa0002','user':'ada'}"},
    {QUEUE_LIST, "{'user':'ada','state':'queued','active':true,'limit':5}"},
    {QUEUE_SHOW, "{'id':'aaaaaa0001'}"},
    {QUEUE_EVENTS, "{'after':'1-1','count':3}"},
    {QUEUE_HOSTS, "{}"},
    {QUEUE_LOGS, "{'id':'aaaaaa0001','after':'1-1','count':3}"},
    {QUEUE_PRIO, "{'id':'aaaaaa0001','user':'ada','priority':3}"},
    {QUEUE_SHARE, "{'user':'ada','weight':2,'by':'root'}"},
    {QUEUE_QUOTA, "{'user':'ada','workers':50,'queued':100000,'day':100000,'by':'root'}"},
    {QUEUE_SETTINGS,
     "{'aging_ms':1,'interactive_ms':1,'slack_ms':1,'half_life_ms':1,'same_ms':1,'admins':['bob'],'by':'root'}"},
    {QUEUE_WHY, "{'id':'aaaaaa0001'}"},
    {QUEUE_ESTIMATE,
     "{'id':'bbbbbb0002','user':'ada','kind':'sample','model':'digits','images':4,'priority':1,'needs':['model:digits']"
     ","
     "'after':['aaaaaa0001'],'spec':{'seed':1},'tier':'normal','max_gpus':2,'at':1,'window':'00:00-23:59','pace':'p',"
     "'load':'l'}"},
    {QUEUE_ADOPT,
     "{'submitted':{'id':'cccccc0001','user':'ada','kind':'sample','model':'digits','images':4,'needs':['model:digits']"
     "},"
     "'spec':{'seed':1},'by':'ada','folder':'ada/cccccc0001','have':['0-2'],'finished':false,'images':4,'fid':1.5,"
     "'metrics':{'kid':1.5}}"},
    {QUEUE_DRAIN, "{'host':'h','worker':'w','user':'ada','reason':'r'}"},
    {QUEUE_RESUME, "{'host':'h','worker':'w','user':'ada'}"},
    {QUEUE_GROUP, "{'group':'g','user':'ada'}"},
    {QUEUE_GROUPS, "{'user':'ada','limit':3}"},
    {QUEUE_GROUP_CANCEL, "{'group':'ada/h','user':'ada'}"},
    {QUEUE_CLAIM,
     "{'host':'h','worker':'w','pid':1,'device':'cpu','uuid':'u','root':'/out','lease_ms':1000,'chunk_ms':1000,"
     "'offers':['model:digits'],'warm':['digits'],'free_mib':9000}"},
    {QUEUE_RENEW, "{'lease_ms':1000,'leases':[{'token':'$a','upto':1,'rate':1.5,'stage':'s','pid':3}]}"},
    {QUEUE_FINISH, "{'token':'17','upto':1,'ms':5,'peak_mib':3,'fid':1.5,'metrics':{'kid':1.5}}"},
    {QUEUE_GIVEBACK, "{'token':'17','upto':1,'ms':5}"},
    {QUEUE_FAIL, "{'token':'17','upto':1,'kind':'device','policy':'retry','text':'boom'}"},
    {QUEUE_REAP, "{}"},
    {QUEUE_HEARTBEAT,
     "{'host':'h','boot':'b','pid':1,'version':'1','workers':[{'name':'w','device':'cpu','uuid':'','free_"
     "mib':1}],'models':{'digits':{}},'references':['r'],"
     "'root':'/out','drain':false,'ttl_ms':1000,'gone':false,'about':'{\\'host\\':\\'h\\'}'}"},
    {QUEUE_LOG, "{'job':'aaaaaa0001','lines':['x',{'level':'info','text':'y'}]}"},
    {QUEUE_CHECK, "{}"},
};

/* What may stand in the place of an argument: values of every type, and texts that only some parsers take. */
static const char *const hostile_values[] = {
    "null",
    "true",
    "-1",
    "0",
    "0.5",
    "1e300",
    "-1e300",
    "9007199254740993",
    "1e999",
    "NaN",
    "-Infinity",
    "0x1F",
    "01",
    "1.",
    "\"\"",
    "\"x\"",
    "\"{}\"",
    "\"a b\"",
    "\"..\"",
    "\"model:digits\"",
    "\"$(x) %s %d {ddq}\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\n\"",
    "\"\n\"",
    "\"\xff\xfe\"",
    "\"\xe2\x86\xaf\"",
    "[]",
    "{}",
    "[null]",
    "[[]]",
    "[{}]",
    "[1,\"x\",{}]",
    "{\"a\":{\"b\":[]}}",
    "[{\"token\":null,\"upto\":{}}]",
    "[{\"text\":[],\"level\":7}]",
    "[\"0-2\",\"1-3\"]",
    "",
    "\"aaaaaa0001\"",
    "[\"aaaaaa0001\",\"aaaaaa0002\"]",
    "\"ada\"",
    "\"root\"",
    "\"g\"",
    "\"h\"",
    "2",
    "100",
};

#endif
