/* ddq completion: scripts for shells. They contain no words: they call `ddq completion words` while the user types
 * (client/verbs/complete.h). Its output is data to them, never expanded or run by a shell. */
#include <stdio.h>
#include <string.h>

#include "client/cmd.h"
#include "client/verbs/complete.h"
#include "core/mem.h"
#include "core/nearest.h"

/* Bash splits words at = and : too, and replaces only the part after the last of them. */
static const char bash[] = "# source <(ddq completion bash)\n"
                           "_ddq() {\n"
                           "    local line=${COMP_LINE:0:COMP_POINT} word typed words before\n"
                           "    read -ra typed <<<\"$line\"\n"
                           "    [[ $line == *[[:space:]] ]] && typed+=('')\n"
                           "    word=${typed[-1]} before=${word%\"${word##*[=:]}\"}\n"
                           "    mapfile -t words < <(\"${typed[0]/#\\~\\//$HOME/}\" completion words "
                           "--typing=\"$word\" -- \"${typed[@]:1:${#typed[@]}-2}\" 2>/dev/null)\n"
                           "    COMPREPLY=()\n"
                           "    for word in \"${words[@]}\"; do\n"
                           "        case $word in\n"
                           "            " COMPLETE_FILES ") compopt -o default ;;\n"
                           "            *[!A-Za-z0-9_.:/@+=,-]*) ;;\n"
                           "            *) COMPREPLY+=(\"${word#\"$before\"}\") ;;\n"
                           "        esac\n"
                           "    done\n"
                           "}\n"
                           "complete -F _ddq ddq\n";

static const char zsh[] = "#compdef ddq\n"
                          "# source <(ddq completion zsh), after compinit\n"
                          "_ddq() {\n"
                          "    local -a found plain\n"
                          "    local word files=\n"
                          "    found=(\"${(@f)$(\"${words[1]}\" completion words --typing=\"${words[CURRENT]}\" -- "
                          "\"${(@)words[2,CURRENT-1]}\" 2>/dev/null)}\")\n"
                          "    for word in \"${found[@]}\"; do\n"
                          "        case $word in\n"
                          "            '') ;;\n"
                          "            " COMPLETE_FILES ") files=1 ;;\n"
                          "            *[^A-Za-z0-9_.:/@+=,-]*) ;;\n"
                          "            *) plain+=(\"$word\") ;;\n"
                          "        esac\n"
                          "    done\n"
                          "    (( $#plain )) && compadd -a plain\n"
                          "    [[ -n $files ]] && _files\n"
                          "}\n"
                          "compdef _ddq ddq\n";

static const char fish[] =
    "# ddq completion fish | source\n"
    "function __ddq_words\n"
    "    set -l typed (commandline -opc)\n"
    "    set -l last (commandline -ct)\n"
    "    for word in ($typed[1] completion words \"--typing=$last\" -- $typed[2..-1] 2>/dev/null)\n"
    "        if test \"$word\" = " COMPLETE_FILES "\n"
    "            __fish_complete_path (commandline -ct)\n"
    "        else if string match -qr '^[A-Za-z0-9_.:/@+=,-]+$' -- $word\n"
    "            printf '%s\\n' $word\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c ddq -f -a '(__ddq_words)'\n";

static const struct {
    const char *shell, *script;
} scripts[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

static bool completion_run(Cmd *cmd, Err *err)
{
    const char *names[countof(scripts)], *word = cmd->args[0];
    char meant[MEANT_TEXT];
    if (strcmp(word, "words") == 0) {
        const char *last = cmd_value(cmd, "typing");
        complete_print(cmd, cmd->args + 1, cmd->arg_count - 1, last ? last : "");
        return true;
    }
    for (size_t i = 0; i < countof(scripts); i++) {
        names[i] = scripts[i].shell;
        if (strcmp(word, names[i]) == 0 && cmd->arg_count == 1) {
            fputs(scripts[i].script, stdout);
            return true;
        }
    }
    return err_set(err, ERR_USAGE, "ddq completion: no script for '%.40s'%s It is bash, zsh or fish", word,
                   nearest_meant(nearest_name(word, names, countof(scripts)), meant));
}

static const Flag flags[] = {
    {"typing", 0, "[WORD]", "words: the word that is being typed"},
    {NULL, 0, NULL, NULL},
};

const Verb verb_completion = {
    .name = "completion",
    .args = "bash|zsh|fish",
    .least = 1,
    .most = -1,
    .summary = "Print a completion script for bash, zsh or fish",
    .detail =
        "  source <(ddq completion bash)          in ~/.bashrc\n"
        "  source <(ddq completion zsh)           in ~/.zshrc, after compinit\n"
        "  ddq completion fish | source           in ~/.config/fish/config.fish\n"
        "The scripts call `ddq completion words --typing=LAST -- WORD...`, which prints the completions of LAST.\n",
    .flags = flags,
    .run = completion_run,
};
