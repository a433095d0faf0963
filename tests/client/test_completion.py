"""Completion: what is offered where, and that nothing out of Redis is ever run or offered by a shell."""
import json
import shutil
import subprocess

import pytest

from session import BIN, ROOT

BASH = """
PATH={bin}:$PATH; source <(ddq completion bash)
ask() {{ COMP_LINE=$1; COMP_POINT=${{#1}}; COMPREPLY=(); _ddq 2>/dev/null; echo "${{COMPREPLY[@]}}"; }}
while IFS= read -r line; do ask "$line"; done
"""


def bash(session, *lines):
    """What bash offers at the end of each line."""
    done = subprocess.run(["bash", "-c", BASH.format(bin=BIN)], env=session.env, cwd=session.folder, capture_output=True, text=True,
                          input="".join(line + "\n" for line in lines))
    answers = done.stdout.split("\n")[:-1]
    assert len(answers) == len(lines) and not done.stderr, done
    return [sorted(answer.split()) for answer in answers]


def words(session, *typed, **env):
    return session.ddq("completion", "words", f"--typing={typed[-1]}", "--", *typed[:-1], **env).stdout.split()


def test_bash(session):
    job = session.submit()
    session.heartbeat()
    for line, wanted in {
            "ddq su": ["submit"],
            "ddq --json sh": ["share", "show"],
            "ddq --redis unix:nowhere -q comple": ["completion"],
            "ddq show ": ["@", job],
            "ddq submit --t-l": ["--t-list"],
            "ddq recipes l-t": ["l-teacher-22", "l-teacher-42", "l-teacher-81"],
            "ddq ls --state r": ["running"],
            "ddq ls --state=r": ["running"],
            "ddq submit digits-demo --reference ": ["digits"],
            "ddq submit --model ": ["digits", "llamagen-l-dd"],
            "ddq submit --model=di": ["digits"],
            "ddq submit --tier s": ["scavenger"],
            "ddq submit --metrics fid,k": ["fid,kid"],
            "ddq submit --after-failed ": ["fail", "hold", "run"],
            "ddq submit --then ": ["evaluate"],
            "ddq submit --kind st": ["statistics"],
            "ddq submit --priority ": [],
            f"ddq --redis unix:{session.socket} show ": ["@", job],
            "ddq drain no": ["node1", "node1:cpu:0"],
            "ddq resume node1:cp": ["cpu:0"],  # bash replaces what stands behind the colon
            "ddq refs ": ["add", "make", "remove", "show"],
            "ddq refs show d": ["digits"],
            "ddq help co": ["compare", "completion", "configuration"],
            "ddq completion ": ["bash", "fish", "zsh"],
            "ddq submit --st": [],  # --student and --steps are none of a queued job
            "ddq sumbit ": []}.items():
        assert bash(session, line) == [sorted(wanted)], line
    (flags,) = bash(session, "ddq submit --")
    assert {"--watch", "--t-list", "--redis"} <= set(flags) and not {"--student", "--teacher", "--tokenizer", "--output", "--owner"} & set(flags)


def test_every_verb_offers_something_where_its_help_names_it(session):
    job = session.submit()
    session.heartbeat()
    session.ddq("submit", "digits-demo", "-q", "--sweep", "seed=1,2")
    (group,) = session.json("ls", "--sweeps")["groups"]
    sweep = f"{group['user']}/{group['group']}"
    for verb in "show why watch wait compare logs cancel hold release prio".split():
        assert job in words(session, verb, ""), verb
    for verb in "show why watch wait compare cancel hold release prio".split():
        assert sweep in words(session, verb, ""), verb
    assert words(session, "share", "") == words(session, "ls", "--user", "") == ["ada"]
    assert "digits-demo" in words(session, "run", "")
    for line in (["compare", ""], ["run", ""], ["adopt", ""], ["fid", ""], ["fid", "a", ""], ["compare", "a", "--html", ""], ["ls", "--conf="],
                 ["refs", "add", "name", ""], ["submit", "--noise", ""]):
        assert ":files" in words(session, *line), line
    for line in (["version", ""], ["show", job, ""], ["prio", job, ""], ["refs", "remove", "digits", ""], ["fid", "a", "b", ""]):
        assert words(session, *line) == [], line


def test_without_redis_the_rest_is_offered(session):
    session.stop()
    assert bash(session, "ddq show ", "ddq su", "ddq run digits-d", "ddq ls --sta") == [["@"], ["submit"], ["digits-demo"], ["--state"]]
    session.start()


HOSTILE = "$(touch${IFS}PWNED)", "`touch${IFS}PWNED`", "x;touch${IFS}PWNED", "x y", "é", "\033[2J", "-rf", "*", "~", "<(touch${IFS}PWNED)", "x\ny", ""


@pytest.mark.parametrize("word", HOSTILE)
def test_what_no_queue_gives_is_dropped(session, word):
    """A user who may write to Redis can put any text where an id, a user, a sweep, a host or a reference stands."""
    job = session.submit()
    session.ddq("submit", "digits-demo", "-q", "--sweep", "seed=1,2")
    session.heartbeat()
    row = json.loads(session.redis("HGET", "{ddq}:rows", job))
    mine = sorted(session.ddq("ls", "-q").stdout.split())
    crafted = [word] + row[1:]
    session.redis("HSET", "{ddq}:rows", job, json.dumps(crafted))
    done = session.ddq("ls", "-q")
    assert sorted(done.stdout.split()) == [i for i in mine if i != job]
    assert "1 entry in Redis" in session.ddq("ls").stderr
    session.redis("HSET", "{ddq}:rows", job, json.dumps(row[:2] + [word] + row[3:]))
    assert sorted(session.ddq("ls", "-q").stdout.split()) == [i for i in mine if i != job]
    if word:
        session.redis("ZADD", "{ddq}:groups:ada", "99", f"ada/{word}")
    assert len(session.ddq("ls", "--sweeps", "-q").stdout.splitlines()) == 1
    about = {"host": word, "workers": [], "models": {}, "references": []}
    session.redis("HSET", "{ddq}:host:node1", "about", json.dumps(about))
    assert session.ddq("gpus", "-q").stdout == ""
    about = {"host": "node1", "workers": [{"name": word}, {"name": "cpu:0"}], "models": {word: {}, "m": {}}, "references": [word, "r"],
             "library": {word: {"kind": "statistics"}}}
    session.redis("HSET", "{ddq}:host:node1", "about", json.dumps(about))
    assert session.ddq("gpus", "-q").stdout == "node1/cpu:0\n" and session.ddq("models", "-q").stdout == "m\n"
    assert session.ddq("refs", "-q").stdout == "r\n"
    session.redis("ZADD", "{ddq}:turns", "1", word)
    for line in bash(session, "ddq show ", "ddq ls --user ", "ddq drain ", "ddq submit --model ", "ddq refs show ", "ddq ls --state "):
        assert word not in line and "PWNED" not in "".join(line)
    assert not (session.folder / "PWNED").exists()


def test_a_hostile_id_does_not_pass_for_a_job(session):
    job = session.submit()
    session.redis("HSET", f"{{ddq}}:job:{job}", "about", session.redis("HGET", f"{{ddq}}:job:{job}", "about").strip().replace(job, "$(id)"))
    for verb in ("show", "watch", "why"):
        done = session.ddq(verb, job, code=1)
        assert "contains no job" in done.stderr and "$(id)" not in done.stdout, verb
    assert "$(id)" not in session.ddq("ls", "--json").stdout


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_zsh(session):
    job = session.submit()
    script = """
        PATH={bin}:$PATH; autoload -Uz compinit; compinit -u -D; source <(ddq completion zsh)
        compadd() {{ print -l -- "${{plain[@]}}"; }}
        _files() {{ print files; }}
        words=(ddq show ''); CURRENT=3; _ddq; words=(ddq --json su); CURRENT=3; _ddq; words=(ddq fid ''); CURRENT=3; _ddq
    """.format(bin=BIN)
    done = subprocess.run(["zsh", "-f", "-c", script], env=session.env, capture_output=True, text=True)
    assert done.stdout.split() == ["@", job, "submit", "files"], done


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish here")
def test_fish(session):
    job = session.submit()
    script = f"set PATH {BIN} $PATH; ddq completion fish | source; complete -C 'ddq show '; complete -C 'ddq --json su'"
    done = subprocess.run(["fish", "-N", "-c", script], env=session.env, capture_output=True, text=True)
    assert sorted(done.stdout.split()) == sorted(["@", job, "submit"]), done
