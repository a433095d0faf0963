#include "client/terminal/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "client/terminal/interrupt.h"
#include "client/terminal/term.h"
#include "core/mem.h"

static struct termios before;
static bool entered;
static volatile sig_atomic_t ending, stopping;

static const int ends[] = {SIGTERM, SIGHUP};

static void on_end(int number)
{
    (void)number;
    ending = 1;
}

static void on_stop(int number)
{
    (void)number;
    stopping = 1;
}

static void on_resize(int number)
{
    (void)number; /* the signal ends the wait */
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler}; /* no SA_RESTART: a wait must end */
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void put(const char *sequences)
{
    fputs(sequences, stdout);
    fflush(stdout);
}

/* The alternate screen, no cursor, no wrapped lines; keys one by one and not echoed. */
static void take(void)
{
    struct termios raw = before;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    put("\033[?1049h\033[?25l\033[?7l\033[H\033[J");
}

static void give_back(void)
{
    put("\033[?7h\033[?25h\033[?1049l");
    tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

bool screen_enter(Err *err)
{
    if (!isatty(STDIN_FILENO) || !term_is_terminal(stdout) || tcgetattr(STDIN_FILENO, &before) != 0)
        return err_set(err, ERR_USAGE, "this is not a terminal; --once prints the page once");
    interrupt_detach();
    for (size_t i = 0; i < countof(ends); i++)
        handle(ends[i], on_end);
    handle(SIGTSTP, on_stop);
    handle(SIGWINCH, on_resize);
    take();
    entered = true;
    return true;
}

void screen_leave(void)
{
    if (entered)
        give_back();
    entered = false;
}

/* Ctrl-Z: the shell gets its terminal, until fg. */
static void pause_here(void)
{
    stopping = 0;
    give_back();
    raise(SIGSTOP);
    take();
}

static int size_of(bool columns)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || !size.ws_col || !size.ws_row)
        return columns ? 80 : 24;
    return columns ? size.ws_col : size.ws_row;
}

int screen_columns(void)
{
    return size_of(true);
}

int screen_lines(void)
{
    return size_of(false);
}

void screen_draw(const char *text)
{
    int lines = screen_lines();
    fputs("\033[H", stdout);
    for (int i = 0; i < lines && *text; i++) {
        size_t len = strcspn(text, "\n");
        fwrite(text, 1, len, stdout);
        fputs(i + 1 < lines ? "\033[K\r\n" : "\033[K", stdout);
        text += len + (text[len] == '\n');
    }
    put("\033[J");
}

/* --- keys --------------------------------------------------------------------------------------------------- */

static const struct {
    const char *bytes; /* as xterm sends it */
    int key;
} sequences[] = {
    {"\033[A", SCREEN_UP},       {"\033OA", SCREEN_UP},         {"\033[B", SCREEN_DOWN}, {"\033OB", SCREEN_DOWN},
    {"\033[5~", SCREEN_PAGE_UP}, {"\033[6~", SCREEN_PAGE_DOWN}, {"\033[H", SCREEN_HOME}, {"\033OH", SCREEN_HOME},
    {"\033[1~", SCREEN_HOME},    {"\033[F", SCREEN_LAST},       {"\033OF", SCREEN_LAST}, {"\033[4~", SCREEN_LAST},
};

enum { TYPED_MAX = 64, SEQUENCE_MS = 30 /* in which the rest of a sequence comes */ };
static char typed[TYPED_MAX + 1]; /* what was read and not taken yet */
static size_t typed_len;

/* False: the terminal went away. */
static bool read_more(int ms)
{
    struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
    if (typed_len == TYPED_MAX || poll(&keys, 1, ms) <= 0)
        return true;
    ssize_t got = read(STDIN_FILENO, typed + typed_len, TYPED_MAX - typed_len);
    if (got > 0)
        typed_len += (size_t)got;
    return got > 0 || (got < 0 && errno == EINTR);
}

static int take_key(size_t bytes, int key)
{
    typed_len -= bytes;
    memmove(typed, typed + bytes, typed_len);
    return key;
}

/* The first key of what was typed. */
static int next_key(void)
{
    for (size_t i = 0; i < countof(sequences); i++) {
        size_t len = strlen(sequences[i].bytes);
        if (typed_len >= len && memcmp(typed, sequences[i].bytes, len) == 0)
            return take_key(len, sequences[i].key);
    }
    if (typed[0] != '\033')
        return take_key(1, typed[0] && strchr("qQ\003", typed[0]) ? SCREEN_LEAVE : (unsigned char)typed[0]);
    if (typed_len == 1)
        return take_key(1, SCREEN_LEAVE);
    size_t end = 2; /* a sequence of a key that has no meaning here: to its last letter */
    while (end < typed_len && (unsigned char)typed[end] < 0x40)
        end++;
    return take_key(end < typed_len ? end + 1 : typed_len, SCREEN_NONE);
}

int screen_key(int ms)
{
    bool there = typed_len || read_more(ms);
    if (stopping)
        pause_here();
    if (there && typed_len == 1 && typed[0] == '\033')
        there = read_more(SEQUENCE_MS);
    if (!there || ending || interrupted())
        return SCREEN_LEAVE;
    return typed_len ? next_key() : SCREEN_NONE;
}
