/* The adapter against servers that misbehave: each end is reported once, after every pending reply. */
#include "tests/test.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/redis/link.h"

typedef enum ServerMood { SERVER_ANSWERS, SERVER_CLOSES, SERVER_RESETS, SERVER_BABBLES, SERVER_IS_SILENT } ServerMood;

/* A server on the same loop, and the calls to the link's owner. */
typedef struct Stage {
    uv_loop_t loop;
    uv_timer_t tick;
    uv_tcp_t server, client;
    bool serves, has_client;
    ServerMood mood;
    RedisLink *link;
    int ups, downs, replies, nulls;
    bool down_was_last;
    char answer[64];
    Err why;
    int64_t ahead_ms; /* how far the link's clock is ahead of the real one */
} Stage;

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    static char bytes[4096];
    (void)handle, (void)size;
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_request(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    (void)buf;
    Stage *stage = stream->data;
    static char ok[] = "+OK\r\n", nonsense[] = "HTTP/1.1 400\r\n";
    if (got < 0) {
        uv_read_stop(stream);
        return;
    }
    uv_buf_t out =
        stage->mood == SERVER_BABBLES ? uv_buf_init(nonsense, sizeof nonsense - 1) : uv_buf_init(ok, sizeof ok - 1);
    int commands = (int)got / (int)strlen("*1\r\n$4\r\nPING\r\n");
    for (int i = 0; i < commands && (stage->mood == SERVER_ANSWERS || stage->mood == SERVER_BABBLES); i++)
        assert_true(uv_try_write(stream, &out, 1) > 0);
    if (stage->mood == SERVER_CLOSES)
        uv_close((uv_handle_t *)stream, NULL);
    if (stage->mood == SERVER_RESETS)
        uv_tcp_close_reset((uv_tcp_t *)stream, NULL);
    if (stage->mood == SERVER_CLOSES || stage->mood == SERVER_RESETS)
        stage->has_client = false;
}

static void on_client(uv_stream_t *server, int status)
{
    Stage *stage = server->data;
    assert_int_equal(status, 0);
    uv_tcp_init(&stage->loop, &stage->client);
    stage->client.data = stage;
    stage->has_client = true;
    assert_int_equal(uv_accept(server, (uv_stream_t *)&stage->client), 0);
    uv_read_start((uv_stream_t *)&stage->client, on_alloc, on_request);
}

/* Listens on one address alone, whatever other addresses its name has. Returns the port. */
static int serve_on(Stage *stage, const struct sockaddr *own)
{
    struct sockaddr_storage address;
    int size = sizeof address;
    uv_tcp_init(&stage->loop, &stage->server);
    stage->server.data = stage;
    stage->serves = true;
    assert_int_equal(uv_tcp_bind(&stage->server, own, UV_TCP_IPV6ONLY * (own->sa_family == AF_INET6)), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&stage->server, 4, on_client), 0);
    uv_tcp_getsockname(&stage->server, (struct sockaddr *)&address, &size);
    return ntohs(((struct sockaddr_in *)&address)->sin_port); /* at the same place in sockaddr_in6 */
}

static int serve(Stage *stage)
{
    struct sockaddr_in address;
    uv_ip4_addr("127.0.0.1", 0, &address);
    return serve_on(stage, (struct sockaddr *)&address);
}

static void on_reply(void *owner, uint64_t tag, const RedisReply *reply)
{
    Stage *stage = owner;
    assert_int_equal(tag, (uint64_t)(stage->replies + stage->nulls + 1)); /* in order */
    stage->down_was_last = false;
    if (reply) {
        stage->replies++;
        snprintf(stage->answer, sizeof stage->answer, "%s", redis_reply_text(reply));
    } else {
        stage->nulls++;
        const char *argv[] = {"PING"};
        assert_false(redis_link_send(stage->link, 1, argv, NULL, on_reply, 9)); /* a closing link accepts nothing */
    }
}

static void on_up(void *owner)
{
    Stage *stage = owner;
    const char *argv[] = {"PING"};
    stage->ups++;
    for (uint64_t tag = 1; tag <= 3; tag++)
        assert_true(redis_link_send(stage->link, 1, argv, NULL, on_reply, tag));
}

static void on_down(void *owner, const Err *why)
{
    Stage *stage = owner;
    stage->downs++;
    stage->down_was_last = true;
    stage->why = *why;
    stage->link = NULL;
}

static void on_tick(uv_timer_t *timer)
{
    Stage *stage = timer->data;
    redis_link_tick(stage->link, mono_ms() + stage->ahead_ms);
}

static void stage_open(Stage *stage)
{
    *stage = (Stage){0};
    uv_loop_init(&stage->loop);
    uv_timer_init(&stage->loop, &stage->tick);
    stage->tick.data = stage;
    uv_timer_start(&stage->tick, on_tick, 5, 5);
}

static void stage_dial(Stage *stage, const RedisUrl *url)
{
    static const RedisLinkHooks hooks = {on_up, on_down, NULL};
    stage->link = redis_link_open(&stage->loop, url, &hooks, stage);
}

static void run_ms(Stage *stage, int ms)
{
    for (Mono end = mono_ms() + ms; mono_ms() < end && !stage->downs;)
        uv_run(&stage->loop, UV_RUN_ONCE);
}

static void until_down(Stage *stage)
{
    run_ms(stage, DEADLINE_MS);
}

/* Everything closes, and nothing is left on the loop. */
static void stage_close(Stage *stage)
{
    redis_link_close(stage->link);
    uv_close((uv_handle_t *)&stage->tick, NULL);
    if (stage->serves)
        uv_close((uv_handle_t *)&stage->server, NULL);
    if (stage->has_client)
        uv_close((uv_handle_t *)&stage->client, NULL);
    uv_run(&stage->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&stage->loop), 0);
}

static RedisUrl tcp(int port)
{
    RedisUrl url = {.port = port};
    strcpy(url.host, "127.0.0.1");
    return url;
}

static void check_down(const Stage *stage, const char *word)
{
    assert_int_equal(stage->downs, 1);
    assert_true(stage->down_was_last);
    assert_int_equal(stage->why.kind, ERR_UNREACHABLE);
    if (!strstr(stage->why.text, word))
        fail_msg("the reason is \"%s\", wanted \"%s\" in it", stage->why.text, word);
}

static void check_answers(Stage *stage, const RedisUrl *url)
{
    stage_dial(stage, url);
    for (Mono end = mono_ms() + DEADLINE_MS; mono_ms() < end && stage->replies < 3 && !stage->downs;)
        uv_run(&stage->loop, UV_RUN_ONCE);
    if (stage->downs)
        fail_msg("%s port %d: %s", url->host, url->port, stage->why.text);
    assert_int_equal(stage->ups, 1);
    assert_int_equal(stage->replies, 3);
    assert_string_equal(stage->answer, "OK");
    stage_close(stage);
    assert_int_equal(stage->downs, 0); /* closed by its owner: no hook */
}

static void a_good_server_answers_in_order(void **state)
{
    (void)state;
    Stage stage;
    stage_open(&stage);
    RedisUrl url = tcp(serve(&stage));
    check_answers(&stage, &url);
}

/* A server on one address of "localhost", for each address that it has on this machine: which of them comes first, and
 * what listens there, does not matter. */
static void all_addresses_of_a_name_are_tried(void **state)
{
    (void)state;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo("localhost", NULL, &hints, &found) != 0)
        skip(); /* a machine without /etc/hosts */
    for (const struct addrinfo *one = found; one; one = one->ai_next) {
        Stage stage;
        stage_open(&stage);
        RedisUrl url = tcp(serve_on(&stage, one->ai_addr));
        strcpy(url.host, "localhost");
        check_answers(&stage, &url);
    }
    freeaddrinfo(found);
}

/* A port that was free a moment ago. */
static RedisUrl free_port(Stage *stage)
{
    RedisUrl url = tcp(serve(stage));
    uv_close((uv_handle_t *)&stage->server, NULL);
    stage->serves = false;
    uv_run(&stage->loop, UV_RUN_NOWAIT);
    return url;
}

/* None of the addresses of a name answers: the reason is that of the last one, reported once. */
static void a_name_that_nobody_serves_is_told(void **state)
{
    (void)state;
    Stage stage;
    stage_open(&stage);
    RedisUrl url = free_port(&stage);
    strcpy(url.host, "localhost");
    stage_dial(&stage, &url);
    until_down(&stage);
    assert_int_equal(stage.downs, 1);
    assert_int_equal(stage.ups, 0);
    stage_close(&stage);
}

static void a_refused_connection_is_told(void **state)
{
    (void)state;
    Stage stage;
    stage_open(&stage);
    RedisUrl url = free_port(&stage);
    stage_dial(&stage, &url);
    until_down(&stage);
    check_down(&stage, "refused");
    assert_int_equal(stage.ups, 0);
    stage_close(&stage);
}

static void a_missing_socket_is_told(void **state)
{
    (void)state;
    Stage stage;
    stage_open(&stage);
    RedisUrl url = {.path = "/nonexistent/redis.sock"};
    stage_dial(&stage, &url);
    assert_int_equal(stage.downs, 0); /* never from inside open */
    until_down(&stage);
    check_down(&stage, "No such file");
    stage_close(&stage);
}

static void an_unknown_host_is_told(void **state)
{
    (void)state;
    Stage stage;
    stage_open(&stage);
    RedisUrl url = tcp(6379);
    strcpy(url.host, "no-such-host.invalid");
    stage_dial(&stage, &url);
    stage_close(&stage); /* while the resolver works: no hook, no leak */
    assert_int_equal(stage.downs, 0);
}

static void endings(void **state)
{
    (void)state;
    static const struct {
        ServerMood mood;
        const char *word;
        int64_t ahead_ms;
    } rows[] = {
        {SERVER_CLOSES, "closed", 0},
        {SERVER_RESETS, "reset", 0},
        {SERVER_BABBLES, "Protocol error", 0},
        {SERVER_IS_SILENT, "did not answer in time", REDIS_ANSWER_MS + 1},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        Stage stage;
        stage_open(&stage);
        RedisUrl url = tcp(serve(&stage));
        stage.mood = rows[i].mood;
        stage.ahead_ms = rows[i].ahead_ms > 0 ? 1000 : 0; /* first not yet */
        stage_dial(&stage, &url);
        if (rows[i].ahead_ms) {
            run_ms(&stage, 200);
            assert_int_equal(stage.downs, 0);
            stage.ahead_ms = rows[i].ahead_ms;
        }
        until_down(&stage);
        assert_int_equal(stage.ups, 1);
        assert_int_equal(stage.replies, 0);
        assert_int_equal(stage.nulls, 3);
        check_down(&stage, rows[i].word);
        stage_close(&stage);
    }
}

/* A full backlog: the kernel neither refuses nor accepts. */
static void a_connection_that_never_comes_up_is_given_up(void **state)
{
    (void)state;
    Stage stage;
    stage_open(&stage);
    RedisUrl url = tcp(6379);
    strcpy(url.host, "192.0.2.1"); /* an address for documentation: no answer; without a route it fails at once */
    stage.ahead_ms = REDIS_CONNECT_MS + 1;
    stage_dial(&stage, &url);
    until_down(&stage);
    assert_int_equal(stage.downs, 1);
    assert_int_equal(stage.ups, 0);
    assert_true(stage.why.text[0] != 0);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_server_answers_in_order),
        cmocka_unit_test(all_addresses_of_a_name_are_tried),
        cmocka_unit_test(a_name_that_nobody_serves_is_told),
        cmocka_unit_test(a_refused_connection_is_told),
        cmocka_unit_test(a_missing_socket_is_told),
        cmocka_unit_test(an_unknown_host_is_told),
        cmocka_unit_test(endings),
        cmocka_unit_test(a_connection_that_never_comes_up_is_given_up),
    };
    return cmocka_run_group_tests_name("redis_uv", tests, NULL, NULL);
}
