/* mtload: HTTP load generator for sendsms.
 *  --port P --path TEMPLATE  {to} {m} {text} are replaced; {m} is the marker, {text} a text holding
 *                            it, with --parts N a text of N*153 chars with one marker in each
 *  --post TEMPLATE --ctype T the body, if it shall be a POST
 *  --header "K: V\r\n..." --conns C --keepalive 1|0 --total N --first-id I --max-s S
 *  --rate R                  per second; 0: closed loop, the next as soon as one is answered
 *  --ramp-us R               connection k is not opened before k * R: a server with a short listen
 *                            queue would let all the others wait a second for the next SYN
 *  --timeout-s S --stop-on-error 1 (end at the first lost connection)
 *  --live FILE --out FILE --dump BASE (accepted ids)
 * Open loop: each message has a scheduled time; latency counts from it, so a stalled server cannot
 * hide waiting. */
#include "common.h"
enum { L_SENT, L_DONE, L_2XX, L_OTHER, L_ERR, L_FIRST, L_LAST, L_CONNECTS };
typedef struct {
    int fd, st; /* 0 idle closed, 1 connecting, 2 idle open, 3 waiting */
    uint32_t id;
    uint64_t sched, sent, retry_at;
    buf in, out;
    int want_out;
    int reused;
} conn;
static conn *C;
static int nc, ep, port, ka, parts;
static uint64_t *L;
static idset S_ok, S_try;
static hist H;
static uint64_t codes[600];
static uint64_t connerr, reseterr, timeouts, retried;
static const char *path, *post, *ctype, *xhdr;
static uint64_t total, next_id, first_id;
static double rate;
static uint64_t t0;
static uint64_t tmo, ramp;
static char sample[200];
static size_t expand(char *o, size_t cap, const char *t, uint32_t id, uint64_t ts) {
    size_t n = 0;
    char m[MARK_LEN];
    for (; *t && n + 1024 < cap;) {
        if (*t == '{') {
            if (!strncmp(t, "{to}", 4)) {
                n += (size_t)sprintf(o + n, "25078%07u", id % 10000000u);
                t += 4;
                continue;
            }
            if (!strncmp(t, "{m}", 3)) {
                mark_make(m, id * (uint32_t)parts, ts);
                memcpy(o + n, m, MARK_LEN);
                n += MARK_LEN;
                t += 3;
                continue;
            }
            if (!strncmp(t, "{text}", 6)) {
                t += 6;
                if (parts == 1) {
                    mark_make(m, id, ts);
                    memcpy(o + n, m, MARK_LEN);
                    n += MARK_LEN;
                    memcpy(o + n, "+hello+world", 12);
                    n += 12;
                } else
                    for (int k = 0; k < parts; k++) {
                        memset(o + n, 'a', 60);
                        n += 60;
                        mark_make(m, id * (uint32_t)parts + (uint32_t)k, ts);
                        memcpy(o + n, m, MARK_LEN);
                        n += MARK_LEN;
                        size_t pad = (k == parts - 1 ? 120 : 153) - 60 - MARK_LEN;
                        memset(o + n, 'b', pad);
                        n += pad;
                    }
                continue;
            }
        }
        o[n++] = *t++;
    }
    return n;
}
static void arm(int i, int want) {
    conn *c = &C[i];
    if (c->want_out == want)
        return;
    c->want_out = want;
    struct epoll_event e = {.events = EPOLLIN | (want ? EPOLLOUT : 0), .data.u32 = (uint32_t)i};
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}
static int open_conn(int i) {
    conn *c = &C[i];
    c->fd = dial("127.0.0.1", port);
    if (c->fd < 0) {
        connerr++;
        return -1;
    }
    c->in.a = c->in.len = c->out.a = c->out.len = 0;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.u32 = (uint32_t)i};
    c->want_out = 1;
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
    L[L_CONNECTS]++;
    c->reused = 0;
    return 0;
}
static void build(conn *c) {
    static char p[16384], bd[16384];
    size_t pn = expand(p, sizeof p, path, c->id, c->sched),
           bn = post ? expand(bd, sizeof bd, post, c->id, c->sched) : 0;
    char h[512];
    b_put(&c->out, post ? "POST " : "GET ", post ? 5 : 4);
    b_put(&c->out, p, pn);
    int n = snprintf(h, sizeof h, " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s", port,
                     ka ? "" : "Connection: close\r\n", xhdr);
    b_put(&c->out, h, (size_t)n);
    if (post) {
        n = snprintf(h, sizeof h, "Content-Type: %s\r\nContent-Length: %zu\r\n", ctype, bn);
        b_put(&c->out, h, (size_t)n);
    }
    b_put(&c->out, "\r\n", 2);
    if (post)
        b_put(&c->out, bd, bn);
}
static int push(int i) {
    conn *c = &C[i];
    int f = b_flush(&c->out, c->fd);
    if (f < 0)
        return -1;
    arm(i, f == 0);
    return 0;
}
static int have_next(uint64_t t) {
    if (next_id >= first_id + total)
        return 0;
    if (rate <= 0)
        return 1;
    return t0 + (uint64_t)((double)(next_id - first_id) * 1e6 / rate) <= t;
}
static void shut(int i) {
    conn *c = &C[i];
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->st = 0;
    c->want_out = 0;
}
static void fail(int i, uint64_t t) {
    conn *c = &C[i];
    if (c->st == 3 || c->st == 1) { /* the request's fate is unknown (or never sent) */
        if (c->st == 3 && c->reused && c->in.len == c->in.a && 0)
            retried++;
        L[L_ERR]++;
        L[L_DONE]++;
        if (c->st == 1)
            connerr++;
        else
            reseterr++;
        c->retry_at = t + 20000;
    }
    shut(i);
}
static void start(int i, uint64_t t) {
    conn *c = &C[i];
    if (c->retry_at > t)
        return;
    c->id = (uint32_t)next_id++;
    c->sched = rate > 0 ? t0 + (uint64_t)((double)(c->id - first_id) * 1e6 / rate) : t;
    L[L_SENT]++;
    if (!L[L_FIRST])
        L[L_FIRST] = t;
    c->sent = t;
    if (c->st == 0) {
        if (open_conn(i)) {
            L[L_ERR]++;
            L[L_DONE]++;
            c->retry_at = t + 20000;
            return;
        }
        c->st = 1;
        build(c);
    } else {
        c->st = 3;
        c->reused = 1;
        build(c);
        if (push(i))
            fail(i, t);
    }
}
/* 1 complete, 0 more, -1 bad */
static int resp(conn *c, int *code, int *cl) {
    const char *p = c->in.p + c->in.a;
    size_t n = c->in.len - c->in.a;
    const char *z = memmem(p, n, "\r\n\r\n", 4);
    if (!z)
        return 0;
    size_t hn = (size_t)(z - p) + 4;
    if (n < 12 || memcmp(p, "HTTP/1.", 7))
        return -1;
    *code = atoi(p + 9);
    *cl = p[7] == '0';
    ssize_t bn = -1;
    int ch = 0;
    for (const char *q = memchr(p, '\n', hn); q && q < z;
         q = memchr(q + 1, '\n', hn - (size_t)(q + 1 - p))) {
        if (!strncasecmp(q + 1, "content-length:", 15))
            bn = atol(q + 16);
        else if (!strncasecmp(q + 1, "transfer-encoding: chunked", 26))
            ch = 1;
        else if (!strncasecmp(q + 1, "connection: close", 17))
            *cl = 1;
        else if (!strncasecmp(q + 1, "connection: keep-alive", 22))
            *cl = 0;
    }
    if (ch) {
        size_t o = hn;
        for (;;) {
            const char *y = memmem(p + o, n - o, "\r\n", 2);
            if (!y)
                return 0;
            size_t k = strtoul(p + o, NULL, 16);
            o = (size_t)(y - p) + 2;
            if (n < o + k + 2)
                return 0;
            o += k + 2;
            if (!k) {
                bn = (ssize_t)(o - hn);
                break;
            }
        }
    }
    if (bn < 0) {
        *cl = 2;
        return 0;
    } /* until close */
    if (n < hn + (size_t)bn)
        return 0;
    if (!sample[0]) {
        size_t k = (size_t)bn < 150 ? (size_t)bn : 150;
        for (size_t i = 0; i < k; i++) {
            char ch2 = p[hn + i];
            sample[i] = (ch2 < 32 || ch2 == '"' || ch2 == '\\') ? ' ' : ch2;
        }
        sample[k] = 0;
    }
    c->in.a += hn + (size_t)bn;
    return 1;
}
static void done(conn *c, int code, uint64_t t) {
    if (code < 0 || code > 599)
        code = 599;
    codes[code]++;
    h_add(&H, t - c->sched);
    L[L_DONE]++;
    L[L_LAST] = t;
    if (code / 100 == 2) {
        L[L_2XX]++;
        ids_add(&S_ok, c->id);
    } else
        L[L_OTHER]++;
}
int main(int argc, char **argv) {
    g_argc = argc;
    g_argv = argv;
    opt_check("port path post ctype header conns keepalive total rate first-id timeout-s live out "
              "dump stop-on-error max-s parts ramp-us");
    sig_setup();
    port = (int)optd("port", 13013);
    path = opt("path", "/cgi-bin/sendsms?username=u&password=p&from=8000&to={to}&text={text}");
    post = opt("post", NULL);
    ctype = opt("ctype", "application/x-www-form-urlencoded");
    xhdr = opt("header", "");
    nc = (int)optd("conns", 16);
    ka = (int)optd("keepalive", 1);
    total = (uint64_t)optd("total", 10000);
    rate = optd("rate", 0);
    first_id = next_id = (uint64_t)optd("first-id", 0);
    tmo = (uint64_t)(optd("timeout-s", 30) * 1e6);
    parts = (int)optd("parts", 1);
    ramp = (uint64_t)optd("ramp-us", 0);
    int soe = (int)optd("stop-on-error", 0);
    double maxs = optd("max-s", 0);
    L = live_open(opt("live", NULL));
    ep = epoll_create1(0);
    C = calloc((size_t)nc, sizeof *C);
    for (int i = 0; i < nc; i++)
        C[i].fd = -1;
    t0 = now_us();
    uint64_t begin = t0;
    struct epoll_event E[512];
    int hint = 0;
    uint64_t last_sweep = t0;
    while (!g_stop && L[L_DONE] < total) {
        uint64_t t = now_us();
        for (int k = 0; k < nc && have_next(t); k++) {
            int i = (hint + k) % nc;
            if ((C[i].st == 0 || C[i].st == 2) && t - t0 >= (uint64_t)i * ramp)
                start(i, t);
        }
        hint++;
        if (soe && (reseterr || connerr))
            break;
        if (maxs > 0 && (double)(t - begin) > maxs * 1e6)
            break;
        uint64_t w = t - t0 < (uint64_t)nc * ramp && ramp < 20000 ? ramp : 20000;
        if (rate > 0 && next_id < first_id + total) {
            uint64_t d = t0 + (uint64_t)((double)(next_id - first_id) * 1e6 / rate);
            uint64_t dd = d > t ? d - t : 2000;
            if (dd < w)
                w = dd;
        }
        struct timespec ts = {0, (long)w * 1000};
        int n = epoll_pwait2(ep, E, 512, &ts, NULL);
        t = now_us();
        for (int e = 0; e < n; e++) {
            int i = (int)E[e].data.u32;
            conn *c = &C[i];
            if (c->fd < 0)
                continue;
            if (E[e].events & EPOLLOUT) {
                if (c->st == 1) {
                    int er = 0;
                    socklen_t l = sizeof er;
                    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &er, &l);
                    if (er) {
                        fail(i, t);
                        continue;
                    }
                    c->st = 3;
                }
                if (push(i)) {
                    fail(i, t);
                    continue;
                }
            }
            if (E[e].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                b_need(&c->in, 8192);
                ssize_t r = recv(c->fd, c->in.p + c->in.len, c->in.cap - c->in.len, 0);
                int code = 0, cl = 0;
                if (r > 0) {
                    c->in.len += (size_t)r;
                    if (c->st != 3) {
                        fail(i, t);
                        continue;
                    }
                    int k = resp(c, &code, &cl);
                    if (k < 0) {
                        fail(i, t);
                        continue;
                    }
                    if (k == 1) {
                        done(c, code, t);
                        if (cl || !ka)
                            shut(i);
                        else {
                            c->st = 2;
                            if (have_next(t))
                                start(i, t);
                        }
                    }
                } else if (r == 0 || (errno != EAGAIN && errno != EINTR)) {
                    if (r == 0 && c->st == 3) {
                        int k = resp(c, &code, &cl);
                        if (k == 0 && cl == 2 && code) {
                            done(c, code, t);
                            shut(i);
                            continue;
                        }
                    }
                    fail(i, t);
                }
            }
        }
        if (t - last_sweep > 500000) {
            last_sweep = t;
            for (int i = 0; i < nc; i++)
                if ((C[i].st == 1 || C[i].st == 3) && t - C[i].sent > tmo) {
                    timeouts++;
                    fail(i, t);
                }
        }
    }
    const char *of = opt("out", NULL);
    FILE *f = of ? fopen(of, "w") : stdout;
    double dt = (double)(L[L_LAST] - L[L_FIRST]) / 1e6;
    fprintf(f,
            "{\"tool\":\"mtload\",\"sent\":%llu,\"done\":%llu,\"ok\":%llu,\"not_ok\":%llu,\"lost_"
            "conn\":%llu,\"conn_errors\":%llu,\"resets\":%llu,\"timeouts\":%llu,\"connects\":%llu,"
            "\"seconds\":%.3f,\"rate\":%.1f,\"first_us\":%llu,\"last_us\":%llu,\"cpu_s\":%.3f,"
            "\"sample\":\"%s\",\"codes\":{",
            (unsigned long long)L[L_SENT], (unsigned long long)L[L_DONE],
            (unsigned long long)L[L_2XX], (unsigned long long)L[L_OTHER],
            (unsigned long long)L[L_ERR], (unsigned long long)connerr, (unsigned long long)reseterr,
            (unsigned long long)timeouts, (unsigned long long)L[L_CONNECTS], dt,
            dt > 0 ? (double)(L[L_2XX] + L[L_OTHER]) / dt : 0, (unsigned long long)L[L_FIRST],
            (unsigned long long)L[L_LAST], cpu_s(), sample);
    int fst = 1;
    for (int i = 0; i < 600; i++)
        if (codes[i]) {
            fprintf(f, "%s\"%d\":%llu", fst ? "" : ",", i, (unsigned long long)codes[i]);
            fst = 0;
        }
    fprintf(f, "},");
    h_json(f, "http", &H);
    fprintf(f, "}\n");
    if (of)
        fclose(f);
    ids_dump(&S_ok, opt("dump", NULL), "accepted");
    return 0;
}
