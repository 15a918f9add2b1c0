/* smppload: ESME for testing smscsim (and for the ceiling of an SMPP peer): binds, submits N with a
 * window, answers deliver_sm.
 *  --port P --binds B --total N --window W --reg 0|1 --expect-dlr 1 --expect-mo N --out FILE */
#include "common.h"
static void W32(char *p, uint32_t v) {
    v = htonl(v);
    memcpy(p, &v, 4);
}
static uint32_t R32(const char *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return ntohl(v);
}
typedef struct {
    int fd, bound, out_n;
    buf in, out;
    uint32_t seq;
} conn;
int main(int argc, char **argv) {
    g_argc = argc;
    g_argv = argv;
    opt_check("port binds total window reg expect-dlr expect-mo out max-s");
    sig_setup();
    int nb = (int)optd("binds", 1), port = (int)optd("port", 23001);
    uint64_t total = (uint64_t)optd("total", 100000), win = (uint64_t)optd("window", 100),
             emo = (uint64_t)optd("expect-mo", 0);
    int reg = (int)optd("reg", 0), edl = (int)optd("expect-dlr", 0);
    double maxs = optd("max-s", 60);
    int ep = epoll_create1(0);
    conn *C = calloc((size_t)nb, sizeof *C);
    for (int i = 0; i < nb; i++) {
        C[i].fd = dial("127.0.0.1", port);
        char b[64] = {0};
        size_t n = 16;
        memcpy(b + n, "u\0p\0\0", 5);
        n += 5;
        b[n++] = 0x34;
        b[n++] = 0;
        b[n++] = 0;
        b[n++] = 0;
        W32(b, (uint32_t)n);
        W32(b + 4, 9);
        W32(b + 12, 1);
        b_put(&C[i].out, b, n);
        C[i].seq = 1;
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.u32 = (uint32_t)i};
        epoll_ctl(ep, EPOLL_CTL_ADD, C[i].fd, &e);
    }
    uint64_t next = 0, acked = 0, nacked = 0, dlr = 0, mo = 0;
    idset S = {0};
    uint64_t t0 = now_us();
    struct epoll_event E[64];
    while (!g_stop) {
        if (acked + nacked >= total && (!edl || dlr >= acked) && mo >= emo)
            break;
        if ((double)(now_us() - t0) > maxs * 1e6)
            break;
        int n = epoll_wait(ep, E, 64, 100);
        for (int k = 0; k < n; k++) {
            int i = (int)E[k].data.u32;
            conn *c = &C[i];
            if (E[k].events & EPOLLIN) {
                b_need(&c->in, 65536);
                ssize_t r = recv(c->fd, c->in.p + c->in.len, c->in.cap - c->in.len, 0);
                if (r <= 0) {
                    if (r < 0 && errno == EAGAIN) {
                    } else if (r == 0 && c->out_n == 0 && next >= total) {
                        epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
                        continue;
                    } /* this bind has all its answers */ else
                        die("connection lost: %s, %d unanswered",
                            r ? strerror(errno) : "end of stream", c->out_n);
                } else
                    c->in.len += (size_t)r;
                while (c->in.len - c->in.a >= 16) {
                    char *p = c->in.p + c->in.a;
                    uint32_t l = R32(p);
                    if (c->in.len - c->in.a < l)
                        break;
                    uint32_t cmd = R32(p + 4), st = R32(p + 8);
                    if (cmd == 0x80000009)
                        c->bound = 1;
                    else if (cmd == 0x80000004) {
                        c->out_n--;
                        if (st)
                            nacked++;
                        else
                            acked++;
                    } else if (cmd == 5) {
                        uint32_t id;
                        uint64_t ts;
                        if (memmem(p, l, "stat:DELIVRD", 12))
                            dlr++;
                        else {
                            mo++;
                            if (mark_find(p, l, &id, &ts))
                                ids_add(&S, id);
                        }
                        char h[17];
                        W32(h, 17);
                        W32(h + 4, 0x80000005);
                        W32(h + 8, 0);
                        memcpy(h + 12, p + 12, 4);
                        h[16] = 0;
                        b_put(&c->out, h, 17);
                    }
                    c->in.a += l;
                }
            }
            if (c->bound)
                while (next < total && (uint64_t)c->out_n < win) {
                    char b[256];
                    size_t m = 16;
                    b[m++] = 0;
                    b[m++] = 1;
                    b[m++] = 1;
                    memcpy(b + m, "8000", 5);
                    m += 5;
                    b[m++] = 1;
                    b[m++] = 1;
                    m += (size_t)sprintf(b + m, "25078%07u", (unsigned)(next % 10000000)) + 1;
                    memset(b + m, 0, 9);
                    b[m + 5] = (char)reg;
                    m += 9;
                    b[m++] = MARK_LEN;
                    mark_make(b + m, (uint32_t)next++, now_us());
                    m += MARK_LEN;
                    W32(b, (uint32_t)m);
                    W32(b + 4, 4);
                    W32(b + 8, 0);
                    W32(b + 12, ++c->seq);
                    b_put(&c->out, b, m);
                    c->out_n++;
                }
            int f = b_flush(&c->out, c->fd);
            if (f < 0)
                die("write");
            struct epoll_event e = {.events = EPOLLIN | (f ? 0 : EPOLLOUT),
                                    .data.u32 = (uint32_t)i};
            if (!f || (E[k].events & EPOLLOUT))
                epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
        }
    }
    double dt = (double)(now_us() - t0) / 1e6;
    const char *of = opt("out", NULL);
    FILE *f = of ? fopen(of, "w") : stdout;
    fprintf(f,
            "{\"tool\":\"smppload\",\"acked\":%llu,\"nacked\":%llu,\"dlr\":%llu,\"mo\":%llu,\"mo_"
            "unique\":%llu,\"seconds\":%.3f,\"rate\":%.1f,\"cpu_s\":%.3f}\n",
            (unsigned long long)acked, (unsigned long long)nacked, (unsigned long long)dlr,
            (unsigned long long)mo, (unsigned long long)S.uniq, dt, (double)(acked + mo) / dt,
            cpu_s());
    return 0;
}
