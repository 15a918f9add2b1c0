/* httpsink: keep-alive HTTP/1.1 server that swallows callbacks and counts the markers in them.
 *  --port P --delay-ms D --fail-pct P (500) --drop-pct P (close without an answer)
 *  --status 200 --body TEXT --live FILE --out FILE --dump BASE
 * A request whose target starts with /dlr counts as a DLR, anything else as an MO. */
#include "common.h"
enum {
    L_REQ,
    L_MO,
    L_MO_DUP,
    L_DLR,
    L_DLR_DUP,
    L_FAILED,
    L_DROPPED,
    L_CONNS,
    L_ACCEPTED,
    L_FIRST,
    L_LAST
};
typedef struct {
    int fd;
    uint32_t gen;
    int want_out, busy;
    buf in, out;
} conn;
typedef struct {
    uint64_t due;
    int c;
    uint32_t gen;
    int status, close;
} pend;
#define MAXC 20000
static conn *C[MAXC];
static int nconn, ep;
static uint64_t *L;
static idset S_mo, S_dlr;
static uint64_t mo_last, dlr_last;
static hist H_mo, H_dlr;
static uint64_t nomark, bad, posts, gets, maxconns;
static pend *Q;
static size_t qh, qt, qcap;
static double delay, failp, dropp;
static char OK[1024], ER[256];
static size_t okn, ern;
static uint32_t skip;
static void drop(int i) {
    conn *c = C[i];
    close(c->fd);
    free(c->in.p);
    free(c->out.p);
    free(c);
    C[i] = NULL;
    L[L_CONNS]--;
}
static void answer(conn *c, int status) {
    if (status == 200)
        b_put(&c->out, OK, okn);
    else
        b_put(&c->out, ER, ern);
}
static int flush(int i) {
    conn *c = C[i];
    int f = b_flush(&c->out, c->fd);
    if (f < 0) {
        drop(i);
        return -1;
    }
    int want = f == 0;
    if (want != c->want_out) {
        c->want_out = want;
        struct epoll_event e = {.events = EPOLLIN | (want ? EPOLLOUT : 0), .data.u64 = (uint64_t)i};
        epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
    }
    return 0;
}
static const char *hdr(const char *h, size_t n, const char *name, size_t *vn) {
    size_t k = strlen(name);
    const char *e = h + n;
    for (const char *p = memchr(h, '\n', n); p && p + 1 < e;
         p = memchr(p + 1, '\n', (size_t)(e - p - 1)))
        if ((size_t)(e - p - 1) > k && !strncasecmp(p + 1, name, k) && p[1 + k] == ':') {
            const char *v = p + 2 + k;
            while (v < e && *v == ' ')
                v++;
            const char *z = memchr(v, '\r', (size_t)(e - v));
            if (!z)
                z = e;
            *vn = (size_t)(z - v);
            return v;
        }
    return NULL;
}
/* length of the body, -1 more needed, -2 bad */
static ssize_t chunked(const char *p, size_t n) {
    size_t o = 0;
    for (;;) {
        const char *z = memmem(p + o, n - o, "\r\n", 2);
        if (!z)
            return -1;
        size_t k = strtoul(p + o, NULL, 16);
        o = (size_t)(z - p) + 2;
        if (n < o + k + 2)
            return -1;
        o += k + 2;
        if (!k)
            return (ssize_t)o;
    }
}
static int serve(int i, uint64_t t) {
    conn *c = C[i];
    while (c->in.a < c->in.len) {
        const char *p = c->in.p + c->in.a;
        size_t n = c->in.len - c->in.a;
        const char *z = memmem(p, n, "\r\n\r\n", 4);
        if (!z) {
            if (n > 65536)
                return -1;
            return 0;
        }
        size_t hn = (size_t)(z - p) + 4, bn = 0, vn;
        const char *v = hdr(p, hn, "content-length", &vn);
        if (v)
            bn = strtoul(v, NULL, 10);
        else if ((v = hdr(p, hn, "transfer-encoding", &vn))) {
            ssize_t k = chunked(p + hn, n - hn);
            if (k == -1)
                return 0;
            bn = (size_t)k;
        }
        v = hdr(p, hn, "expect", &vn);
        if (v && n == hn && bn) {
            static const char c100[] = "HTTP/1.1 100 Continue\r\n\r\n";
            if (!c->busy) {
                send(c->fd, c100, sizeof c100 - 1, MSG_NOSIGNAL);
                c->busy = 1;
            }
        }
        if (n < hn + bn)
            return 0;
        c->busy = 0;
        int cl = 0;
        v = hdr(p, hn, "connection", &vn);
        if (v && vn == 5 && !strncasecmp(v, "close", 5))
            cl = 1;
        {
            const char *eol = memchr(p, '\r', hn);
            if (eol - p > 8 && !memcmp(eol - 8, "HTTP/1.0", 8) &&
                !(v && vn >= 10 && !strncasecmp(v, "keep-alive", 10)))
                cl = 1;
        }
        if (p[0] == 'P')
            posts++;
        else if (p[0] == 'G')
            gets++;
        else {
            bad++;
            return -1;
        }
        const char *sp = memchr(p, ' ', hn);
        int isdlr = sp && !strncmp(sp + 1, "/dlr", 4);
        L[L_REQ]++;
        if (!L[L_FIRST])
            L[L_FIRST] = t;
        L[L_LAST] = t;
        int st = 200;
        if (pct(dropp)) {
            L[L_DROPPED]++;
            return -1;
        }
        if (pct(failp)) {
            st = 500;
            L[L_FAILED]++;
        }
        uint32_t id;
        uint64_t ts;
        const char *r, *mp = p;
        int got = 0;
        size_t tot = hn + bn;
        while ((r = mark_find(mp, tot - (size_t)(mp - p), &id, &ts))) {
            mp = r;
            if (got++ || st != 200)
                break;
            idset *s = isdlr ? &S_dlr : &S_mo;
            *(isdlr ? &dlr_last : &mo_last) = t;
            if (ids_add(s, id) == 1 && t >= ts && id >= skip)
                h_add(isdlr ? &H_dlr : &H_mo, t - ts);
        }
        if (!got)
            nomark++;
        L[L_MO] = S_mo.uniq;
        L[L_MO_DUP] = S_mo.dup;
        L[L_DLR] = S_dlr.uniq;
        L[L_DLR_DUP] = S_dlr.dup;
        c->in.a += tot;
        if (delay > 0) {
            if (qt - qh == qcap) {
                size_t m = qcap ? qcap * 2 : 4096;
                pend *q = malloc(m * sizeof *q);
                for (size_t k = qh; k < qt; k++)
                    q[k - qh] = Q[k % qcap];
                qt -= qh;
                qh = 0;
                free(Q);
                Q = q;
                qcap = m;
            }
            Q[qt++ % qcap] = (pend){t + (uint64_t)(delay * 1000), i, c->gen, st, cl};
        } else {
            answer(c, st);
            if (cl) {
                b_flush(&c->out, c->fd);
                return -1;
            }
        }
    }
    return 0;
}
int main(int argc, char **argv) {
    g_argc = argc;
    g_argv = argv;
    opt_check("port delay-ms fail-pct drop-pct status body live out dump skip-below");
    sig_setup();
    skip = (uint32_t)optd("skip-below", 0);
    delay = optd("delay-ms", 0);
    failp = optd("fail-pct", 0);
    dropp = optd("drop-pct", 0);
    L = live_open(opt("live", NULL));
    const char *body = opt("body", "ok");
    okn = (size_t)snprintf(
        OK, sizeof OK,
        "HTTP/1.1 %d OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s",
        (int)optd("status", 200), strlen(body), body);
    ern = (size_t)snprintf(
        ER, sizeof ER,
        "HTTP/1.1 500 Error\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nerr");
    int lfd = listen_on("127.0.0.1", (int)optd("port", 23011));
    ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
    epoll_ctl(ep, EPOLL_CTL_ADD, lfd, &ev);
    uint32_t gen = 0;
    struct epoll_event E[512];
    uint64_t wait = 1000000;
    while (!g_stop) {
        struct timespec ts = {.tv_sec = (time_t)(wait / 1000000),
                              .tv_nsec = (long)(wait % 1000000) * 1000};
        int n = epoll_pwait2(ep, E, 512, &ts, NULL);
        uint64_t t = now_us();
        wait = 1000000;
        for (int i = 0; i < n; i++) {
            if (E[i].data.u64 == UINT64_MAX) {
                int fd;
                static int hint;
                while ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                    int k = -1;
                    for (int j = 0; j < MAXC; j++) {
                        int q = (hint + j) % MAXC;
                        if (q < 4096 || nconn > 4000)
                            if (!C[q]) {
                                k = q;
                                break;
                            }
                    }
                    if (k < 0) {
                        close(fd);
                        continue;
                    }
                    hint = k + 1 < 4096 ? k + 1 : 0;
                    nodelay(fd);
                    conn *c = calloc(1, sizeof *c);
                    c->fd = fd;
                    c->gen = ++gen;
                    C[k] = c;
                    if (k >= nconn)
                        nconn = k + 1;
                    L[L_CONNS]++;
                    L[L_ACCEPTED]++;
                    if (L[L_CONNS] > maxconns)
                        maxconns = L[L_CONNS];
                    struct epoll_event e = {.events = EPOLLIN, .data.u64 = (uint64_t)k};
                    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
                }
                continue;
            }
            int ci = (int)E[i].data.u64;
            conn *c = C[ci];
            if (!c)
                continue;
            if (E[i].events & EPOLLOUT)
                if (flush(ci))
                    continue;
            if (E[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                b_need(&c->in, 16384);
                ssize_t r = recv(c->fd, c->in.p + c->in.len, c->in.cap - c->in.len, 0);
                if (r > 0) {
                    c->in.len += (size_t)r;
                    if (serve(ci, t)) {
                        drop(ci);
                        continue;
                    }
                    if (c->out.len > c->out.a)
                        flush(ci);
                } else if (r == 0 || (errno != EAGAIN && errno != EINTR))
                    drop(ci);
            }
        }
        while (qh < qt) {
            pend *p = &Q[qh % qcap];
            if (p->due > t) {
                wait = p->due - t;
                break;
            }
            conn *c = C[p->c];
            if (c && c->gen == p->gen) {
                answer(c, p->status);
                if (!flush(p->c) && p->close)
                    drop(p->c);
            }
            qh++;
        }
    }
    const char *of = opt("out", NULL);
    FILE *f = of ? fopen(of, "w") : stdout;
    double dt = (double)(L[L_LAST] - L[L_FIRST]) / 1e6;
    fprintf(
        f,
        "{\"tool\":\"httpsink\",\"requests\":%llu,\"posts\":%llu,\"gets\":%llu,\"mo_unique\":%llu,"
        "\"mo_duplicates\":%llu,\"dlr_unique\":%llu,\"dlr_duplicates\":%llu,\"no_marker\":%llu,"
        "\"bad\":%llu,\"failed\":%llu,\"dropped\":%llu,\"connections\":%llu,\"max_connections\":%"
        "llu,\"seconds\":%.3f,\"rate\":%.1f,\"first_us\":%llu,\"last_us\":%llu,\"mo_last_us\":%llu,"
        "\"dlr_last_us\":%llu,\"cpu_s\":%.3f,",
        (unsigned long long)L[L_REQ], (unsigned long long)posts, (unsigned long long)gets,
        (unsigned long long)S_mo.uniq, (unsigned long long)S_mo.dup, (unsigned long long)S_dlr.uniq,
        (unsigned long long)S_dlr.dup, (unsigned long long)nomark, (unsigned long long)bad,
        (unsigned long long)L[L_FAILED], (unsigned long long)L[L_DROPPED],
        (unsigned long long)L[L_ACCEPTED], (unsigned long long)maxconns, dt,
        dt > 0 ? (double)L[L_REQ] / dt : 0, (unsigned long long)L[L_FIRST],
        (unsigned long long)L[L_LAST], (unsigned long long)mo_last, (unsigned long long)dlr_last,
        cpu_s());
    h_json(f, "mo_e2e", &H_mo);
    fputc(',', f);
    h_json(f, "dlr_e2e", &H_dlr);
    fprintf(f, "}\n");
    if (of)
        fclose(f);
    ids_dump(&S_mo, opt("dump", NULL), "mo");
    ids_dump(&S_dlr, opt("dump", NULL), "dlr");
    return 0;
}
