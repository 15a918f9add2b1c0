/* smscsim: SMPP 3.4 SMSC simulator for load tests. One thread, epoll.
 *  --port P                  listen port (127.0.0.1)
 *  --ids dec|hex             message id style in submit_sm_resp (receipts: --dlr-ids, else the same)
 *  --resp-delay-ms D         delay of submit_sm_resp
 *  --resp-rate R             at most R submit_sm_resp per second (slow SMSC)
 *  --throttle-rate R         above R submits in a second answer 0x58
 *  --throttle-pct P --error-pct P   share answered 0x58 / 0x08
 *  --dlr-delay-ms D          receipts for registered_delivery (default 0; -1 = never)
 *  --mo N --mo-rate R (0 = as the window allows) --mo-window W
 *  --mo-delay-ms D           after the first receiver bind (-1: with SIGUSR2)
 *  --skip-below ID (warm-up ids: counted, not timed)
 *  --live FILE --out FILE --dump BASE --exit-acked N --idle-exit S
 * SIGUSR1: stop answering submit_sm until the next SIGUSR1.   SIGUSR2: MO begin.
 * SIGTERM: summary and exit. */
#include "common.h"
enum {
    L_RX,
    L_UNIQ,
    L_DUP,
    L_ACKED,
    L_OUTST,
    L_BINDS,
    L_MO_SENT,
    L_MO_ACKED,
    L_DLR_SENT,
    L_DLR_ACKED,
    L_MO_NACK,
    L_THROTTLED,
    L_ERR,
    L_FIRST,
    L_LAST,
    L_CONNS,
    L_MO_START,
    L_MO_LAST
};
#define SLOTS 65536
typedef struct {
    uint32_t seq;
    uint8_t kind;
    uint32_t id;
    uint64_t t;
} slot; /* kind 0 free 1 MO 2 DLR */
typedef struct conn {
    int fd;
    uint32_t gen;
    int bound, rx, want_out, dirty, outst, dl_out;
    uint32_t seq;
    buf in, out;
    slot *s;
} conn;
typedef struct {
    uint64_t due;
    int c;
    uint32_t gen, seq, status, mid, mark;
    uint8_t reg;
    char src[24], dst[24];
} pend;
typedef struct {
    uint64_t due;
    uint32_t mid;
    char src[24], dst[24];
} dlr;
#define MAXC 4096
static conn *C[MAXC];
static int nconn;
static int ep;
static uint64_t *L;
static pend *Q;
static size_t qh, qt, qcap; /* ring of pending responses */
static dlr *D;
static size_t dn, dcap, dnext;
static uint32_t *R;
static size_t rn, rcap; /* DLR retry stack */
static uint32_t *MR;
static uint64_t *MRt;
static size_t mrn, mrcap;
static idset S_rx, S_ack, S_mo;
static hist H_e2e, H_dl, H_hold;
static uint64_t dup_after_ack, nomark, max_outst, parts_udh, payload_tlv, bad, unk;
static int hex_ids, dlr_hex;
static double resp_delay, resp_rate, thr_rate, thr_pct, err_pct, dlr_delay, mo_rate;
static uint64_t mo_n, mo_next;
static uint64_t *mo_ts; /* of the first delivery: what comes again has the same octets */
static int mo_win;
static uint64_t mo_t0;
static double mo_delay;
static int paused;
static uint64_t sec_t;
static double sec_n;
static uint32_t next_mid = 1;
static uint64_t tok_t;
static double tok;
static uint64_t last_activity;
static uint32_t skip;
static uint64_t first_mo, dgram[8];
static void W32(char *p, uint32_t v) {
    v = htonl(v);
    memcpy(p, &v, 4);
}
static uint32_t R32(const char *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return ntohl(v);
}
static void mark_dirty(conn *c) { c->dirty = 1; }
static void reply(conn *c, uint32_t cmd, uint32_t st, uint32_t seq, const char *body, size_t n) {
    char h[16];
    W32(h, (uint32_t)(16 + n));
    W32(h + 4, cmd);
    W32(h + 8, st);
    W32(h + 12, seq);
    b_put(&c->out, h, 16);
    if (n)
        b_put(&c->out, body, n);
    mark_dirty(c);
}
static void q_push(pend *p) {
    if (qt - qh == qcap) {
        size_t n = qcap ? qcap * 2 : 4096;
        pend *q = malloc(n * sizeof *q);
        for (size_t i = qh; i < qt; i++)
            q[i - qh] = Q[i % qcap];
        qt -= qh;
        qh = 0;
        free(Q);
        Q = q;
        qcap = n;
    }
    Q[qt++ % qcap] = *p;
}
static void finish(conn *c, pend *p) {
    char b[16];
    int n = 0;
    if (p->status == 0)
        n = snprintf(b, sizeof b, hex_ids ? "%X" : "%u", p->mid) + 1;
    reply(c, 0x80000004, p->status, p->seq, b, (size_t)n);
    c->outst--;
    L[L_OUTST]--;
    if (p->status)
        return;
    if (p->mark != UINT32_MAX) {
        ids_add(&S_ack, p->mark);
    }
    L[L_ACKED]++;
    if ((p->reg & 1) && dlr_delay >= 0) {
        if (dn == dcap) {
            dcap = dcap ? dcap * 2 : 4096;
            D = realloc(D, dcap * sizeof *D);
        }
        dlr *d = &D[dn++];
        d->due = now_us() + (uint64_t)(dlr_delay * 1000);
        d->mid = p->mid;
        memcpy(d->src, p->src, 24);
        memcpy(d->dst, p->dst, 24);
    }
}
static const char *cstr(const char **p, const char *e, char *out, size_t cap) {
    const char *s = *p, *z = memchr(s, 0, (size_t)(e - s));
    if (!z)
        return NULL;
    if (out) {
        size_t n = (size_t)(z - s);
        if (n >= cap)
            n = cap - 1;
        memcpy(out, s, n);
        out[n] = 0;
    }
    *p = z + 1;
    return s;
}
static void on_submit(int ci, conn *c, const char *b, size_t n, uint32_t seq, uint64_t t) {
    pend p = {.c = ci, .gen = c->gen, .seq = seq, .mark = UINT32_MAX};
    const char *q = b, *e = b + n;
    L[L_RX]++;
    if (!L[L_FIRST])
        L[L_FIRST] = t;
    L[L_LAST] = t;
    if (!cstr(&q, e, NULL, 0) || e - q < 2)
        goto mal;
    q += 2;
    if (!cstr(&q, e, p.src, 24) || e - q < 2)
        goto mal;
    q += 2;
    if (!cstr(&q, e, p.dst, 24) || e - q < 3)
        goto mal;
    uint8_t esm = (uint8_t)q[0];
    q += 3;
    if (!cstr(&q, e, NULL, 0) || !cstr(&q, e, NULL, 0) || e - q < 5)
        goto mal;
    p.reg = (uint8_t)q[0];
    uint8_t len = (uint8_t)q[4];
    q += 5;
    if (e - q < len)
        goto mal;
    const char *sm = q;
    size_t smn = len;
    q += len;
    while (e - q >= 4) {
        uint16_t tag = (uint16_t)((uint8_t)q[0] << 8 | (uint8_t)q[1]),
                 tl = (uint16_t)((uint8_t)q[2] << 8 | (uint8_t)q[3]);
        q += 4;
        if (e - q < tl)
            goto mal;
        if (tag == 0x0424) {
            sm = q;
            smn = tl;
            payload_tlv++;
        }
        q += tl;
    }
    if (esm & 0x40)
        parts_udh++;
    uint32_t id;
    uint64_t ts;
    int first = 1;
    const char *mp = sm, *r;
    while ((r = mark_find(mp, smn - (size_t)(mp - sm), &id, &ts))) {
        if (first) {
            p.mark = id;
            first = 0;
        }
        if (ids_get(&S_ack, id))
            dup_after_ack++;
        ids_add(&S_rx, id);
        if (t >= ts && id >= skip)
            h_add(&H_e2e, t - ts);
        mp = r;
    }
    if (first)
        nomark++;
    L[L_UNIQ] = S_rx.uniq;
    L[L_DUP] = S_rx.dup;
    c->outst++;
    L[L_OUTST]++;
    if ((uint64_t)c->outst > max_outst)
        max_outst = (uint64_t)c->outst;
    p.mid = next_mid++;
    if (thr_rate > 0) {
        if (t - sec_t >= 1000000) {
            sec_t = t;
            sec_n = 0;
        }
        if (++sec_n > thr_rate)
            p.status = 0x58;
    }
    if (pct(thr_pct))
        p.status = 0x58;
    else if (pct(err_pct))
        p.status = 0x08;
    if (p.status == 0x58)
        L[L_THROTTLED]++;
    else if (p.status)
        L[L_ERR]++;
    if (resp_delay <= 0 && resp_rate <= 0 && !paused && qh == qt)
        finish(c, &p);
    else {
        p.due = t + (uint64_t)(resp_delay * 1000);
        q_push(&p);
    }
    return;
mal:
    bad++;
    reply(c, 0x80000004, 0x02, seq, NULL, 0);
}
static void retry_mo(uint32_t id, uint64_t at) {
    if (mrn == mrcap) {
        mrcap = mrcap ? mrcap * 2 : 1024;
        MR = realloc(MR, mrcap * 4);
        MRt = realloc(MRt, mrcap * 8);
    }
    MR[mrn] = id;
    MRt[mrn++] = at;
}
static void retry_dlr(uint32_t i) {
    if (rn == rcap) {
        rcap = rcap ? rcap * 2 : 1024;
        R = realloc(R, rcap * 4);
    }
    R[rn++] = i;
}
static void drop(int ci) {
    conn *c = C[ci];
    if (!c)
        return;
    close(c->fd);
    C[ci] = NULL;
    L[L_CONNS]--;
    if (c->bound)
        L[L_BINDS]--;
    L[L_OUTST] -= (uint64_t)c->outst;
    if (c->s)
        for (int i = 0; i < SLOTS; i++) {
            if (c->s[i].kind == 1)
                retry_mo(c->s[i].id, 0);
            else if (c->s[i].kind == 2)
                retry_dlr(c->s[i].id);
        }
    free(c->s);
    free(c->in.p);
    free(c->out.p);
    free(c);
}
static int on_pdu(int ci, conn *c, const char *p, uint32_t len, uint64_t t) {
    uint32_t cmd = R32(p + 4), st = R32(p + 8), seq = R32(p + 12);
    switch (cmd) {
    case 0x01:
    case 0x02:
    case 0x09:
        if (!c->bound) {
            c->bound = (int)cmd;
            L[L_BINDS]++;
        }
        c->rx = cmd != 2;
        if (c->rx && !c->s)
            c->s = calloc(SLOTS, sizeof(slot));
        if (c->rx && !mo_t0 && mo_delay >= 0)
            mo_t0 = t + (uint64_t)(mo_delay * 1000);
        reply(c, cmd | 0x80000000u, 0, seq, "smscsim", 8);
        break;
    case 0x04:
        if (c->bound != 2 && c->bound != 9) {
            reply(c, 0x80000004, 0x04, seq, NULL, 0);
            break;
        }
        last_activity = t;
        on_submit(ci, c, p + 16, len - 16, seq, t);
        break;
    case 0x15:
        reply(c, 0x80000015, 0, seq, NULL, 0);
        break;
    case 0x06:
        reply(c, 0x80000006, 0, seq, NULL, 0);
        b_flush(&c->out, c->fd);
        return -1;
    case 0x80000005:
        last_activity = t;
        if (c->s) {
            slot *s = &c->s[seq % SLOTS];
            if (!s->kind || s->seq != seq) {
                unk++;
                break;
            }
            c->dl_out--;
            if (s->kind == 1) {
                if (st == 0) {
                    h_add(&H_dl, t - s->t);
                    ids_add(&S_mo, s->id);
                    L[L_MO_ACKED]++;
                    L[L_MO_LAST] = t;
                } else {
                    L[L_MO_NACK]++;
                    retry_mo(s->id, t + 1000000);
                }
            } else {
                if (st == 0)
                    L[L_DLR_ACKED]++;
                else {
                    L[L_MO_NACK]++;
                    retry_dlr(s->id);
                }
            }
            s->kind = 0;
        }
        break;
    case 0x80000015:
    case 0x80000000:
        break;
    default:
        if (!(cmd & 0x80000000u))
            reply(c, 0x80000000, 0x03, seq, NULL, 0);
        unk++;
    }
    return 0;
}
static void deliver(conn *c, int kind, uint32_t id, uint64_t t, uint64_t ts) {
    char b[512];
    size_t n = 0;
    uint32_t seq = ++c->seq;
    char txt[200];
    int tl;
    const char *src, *dst;
    char sb[24];
    if (kind == 1) {
        char m[MARK_LEN];
        mark_make(m, id, ts);
        tl = snprintf(txt, sizeof txt, "%.*s hello", MARK_LEN, m);
        snprintf(sb, sizeof sb, "25078%07u", id % 10000000u);
        src = sb;
        dst = "8000";
    } else {
        dlr *d = &D[id];
        src = d->dst;
        dst = d->src;
        char idb[16];
        snprintf(idb, sizeof idb, dlr_hex ? "%X" : "%u", d->mid);
        tl = snprintf(txt, sizeof txt,
                      "id:%s sub:001 dlvrd:001 submit date:2501010000 done date:2501010000 "
                      "stat:DELIVRD err:000 text:XX",
                      idb);
    }
    n = 16;
    b[n++] = 0;
    b[n++] = 1;
    b[n++] = 1;
    size_t k = strlen(src);
    memcpy(b + n, src, k + 1);
    n += k + 1;
    b[n++] = 1;
    b[n++] = 1;
    k = strlen(dst);
    memcpy(b + n, dst, k + 1);
    n += k + 1;
    b[n++] = kind == 2 ? 4 : 0;
    b[n++] = 0;
    b[n++] = 0;
    b[n++] = 0;
    b[n++] = 0;
    b[n++] = 0;
    b[n++] = 0;
    b[n++] = 0;
    b[n++] = 0;
    b[n++] = (char)tl;
    memcpy(b + n, txt, (size_t)tl);
    n += (size_t)tl;
    if (kind == 2) {
        char idb[16];
        int il = snprintf(idb, sizeof idb, dlr_hex ? "%X" : "%u", D[id].mid) + 1;
        b[n++] = 0x00;
        b[n++] = 0x1e;
        b[n++] = 0;
        b[n++] = (char)il;
        memcpy(b + n, idb, (size_t)il);
        n += (size_t)il;
        b[n++] = 0x04;
        b[n++] = 0x27;
        b[n++] = 0;
        b[n++] = 1;
        b[n++] = 2;
    }
    W32(b, (uint32_t)n);
    W32(b + 4, 5);
    W32(b + 8, 0);
    W32(b + 12, seq);
    b_put(&c->out, b, n);
    mark_dirty(c);
    slot *s = &c->s[seq % SLOTS];
    s->seq = seq;
    s->kind = (uint8_t)kind;
    s->id = id;
    s->t = t;
    c->dl_out++;
    if (kind == 1) {
        L[L_MO_SENT]++;
        if (!L[L_MO_START])
            L[L_MO_START] = t;
    } else
        L[L_DLR_SENT]++;
    last_activity = t;
}
static conn *pick(void) { /* receiver with room, round robin */
    static int rr;
    for (int i = 0; i < nconn; i++) {
        int k = (rr + i) % nconn;
        conn *c = C[k];
        if (c && c->rx && c->dl_out < mo_win && !c->s[(c->seq + 1) % SLOTS].kind) {
            rr = k + 1;
            return c;
        }
    }
    return NULL;
}
static uint64_t
pump(uint64_t t) { /* returns microseconds until the next thing is due (or a large value) */
    uint64_t wait = 1000000;
    if (resp_rate > 0) {
        tok += (double)(t - tok_t) / 1e6 * resp_rate;
        tok_t = t;
        double cap = resp_rate / 20 < 1 ? 1 : resp_rate / 20;
        if (tok > cap)
            tok = cap;
    }
    while (qh < qt && !paused) {
        pend *p = &Q[qh % qcap];
        conn *c = C[p->c];
        if (!c || c->gen != p->gen) {
            qh++;
            continue;
        }
        if (p->due > t) {
            wait = p->due - t;
            break;
        }
        if (resp_rate > 0) {
            if (tok < 1) {
                wait = 1000;
                break;
            }
            tok -= 1;
        }
        finish(c, p);
        qh++;
    }
    conn *c;
    while (rn && (c = pick()))
        deliver(c, 2, R[--rn], t, t);
    while (dnext < dn) {
        if (D[dnext].due > t) {
            if (D[dnext].due - t < wait)
                wait = D[dnext].due - t;
            break;
        }
        if (!(c = pick()))
            break;
        deliver(c, 2, (uint32_t)dnext++, t, t);
    }
    if (mo_n && mo_t0) {
        if (t < mo_t0) {
            if (mo_t0 - t < wait)
                wait = mo_t0 - t;
            return wait;
        }
        if (mrn) {
            size_t k = 0;
            for (size_t i = 0; i < mrn; i++) {
                if (MRt[i] <= t && (c = pick()))
                    deliver(c, 1, MR[i], t, mo_ts[MR[i]]);
                else {
                    MR[k] = MR[i];
                    MRt[k++] = MRt[i];
                }
            }
            mrn = k;
            if (mrn && wait > 50000)
                wait = 50000;
        }
        while (mo_next < mo_n) {
            uint64_t ts = t;
            if (mo_rate > 0) {
                ts = mo_t0 + (uint64_t)((double)mo_next * 1e6 / mo_rate);
                if (ts > t) {
                    if (ts - t < wait)
                        wait = ts - t;
                    break;
                }
            }
            if (!(c = pick()))
                break;
            mo_ts[mo_next] = ts;
            deliver(c, 1, (uint32_t)mo_next++, t, ts);
        }
    }
    return wait;
}
int main(int argc, char **argv) {
    g_argc = argc;
    g_argv = argv;
    opt_check("port ids dlr-ids resp-delay-ms resp-rate throttle-rate throttle-pct error-pct "
              "dlr-delay-ms mo mo-rate mo-window mo-delay-ms live out dump exit-acked idle-exit "
              "skip-below");
    sig_setup();
    int port = (int)optd("port", 23001);
    hex_ids = !strcmp(opt("ids", "dec"), "hex");
    dlr_hex = !strcmp(opt("dlr-ids", opt("ids", "dec")), "hex");
    resp_delay = optd("resp-delay-ms", 0);
    resp_rate = optd("resp-rate", 0);
    thr_rate = optd("throttle-rate", 0);
    thr_pct = optd("throttle-pct", 0);
    err_pct = optd("error-pct", 0);
    dlr_delay = optd("dlr-delay-ms", 0);
    mo_n = (uint64_t)optd("mo", 0);
    mo_ts = calloc(mo_n ? mo_n : 1, sizeof *mo_ts);
    mo_rate = optd("mo-rate", 0);
    mo_win = (int)optd("mo-window", 10);
    mo_delay = optd("mo-delay-ms", 500);
    if (mo_win > SLOTS / 2)
        mo_win = SLOTS / 2;
    uint64_t exit_acked = (uint64_t)optd("exit-acked", 0);
    double idle = optd("idle-exit", 0);
    skip = (uint32_t)optd("skip-below", 0);
    L = live_open(opt("live", NULL));
    tok_t = now_us();
    int lfd = listen_on("127.0.0.1", port);
    ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
    epoll_ctl(ep, EPOLL_CTL_ADD, lfd, &ev);
    static uint32_t gen;
    struct epoll_event E[256];
    last_activity = now_us();
    uint64_t wait = 1000;
    while (!g_stop) {
        struct timespec ts = {.tv_sec = (time_t)(wait / 1000000),
                              .tv_nsec = (long)(wait % 1000000) * 1000};
        int n = epoll_pwait2(ep, E, 256, &ts, NULL);
        uint64_t t = now_us();
        if (g_usr1) {
            g_usr1 = 0;
            paused = !paused;
        }
        if (g_usr2) {
            g_usr2 = 0;
            if (!mo_t0)
                mo_t0 = t;
        }
        for (int i = 0; i < n; i++) {
            if (E[i].data.u64 == UINT64_MAX) {
                int fd;
                while ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                    int k;
                    for (k = 0; k < MAXC && C[k]; k++)
                        ;
                    if (k == MAXC) {
                        close(fd);
                        continue;
                    }
                    nodelay(fd);
                    conn *c = calloc(1, sizeof *c);
                    c->fd = fd;
                    c->gen = ++gen;
                    C[k] = c;
                    if (k >= nconn)
                        nconn = k + 1;
                    L[L_CONNS]++;
                    struct epoll_event e = {.events = EPOLLIN, .data.u64 = (uint64_t)k};
                    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
                }
                continue;
            }
            int ci = (int)E[i].data.u64;
            conn *c = C[ci];
            if (!c)
                continue;
            int dead = 0;
            if (E[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                b_need(&c->in, 65536);
                ssize_t r = recv(c->fd, c->in.p + c->in.len, c->in.cap - c->in.len, 0);
                if (r > 0) {
                    c->in.len += (size_t)r;
                    while (c->in.len - c->in.a >= 16) {
                        const char *p = c->in.p + c->in.a;
                        uint32_t len = R32(p);
                        if (len < 16 || len > 65536) {
                            bad++;
                            dead = 1;
                            break;
                        }
                        if (c->in.len - c->in.a < len)
                            break;
                        if (on_pdu(ci, c, p, len, t)) {
                            dead = 1;
                            break;
                        }
                        c->in.a += len;
                    }
                } else if (r == 0 || (errno != EAGAIN && errno != EINTR))
                    dead = 1;
            }
            if (dead)
                drop(ci);
        }
        wait = pump(t);
        for (int i = 0; i < nconn; i++) {
            conn *c = C[i];
            if (!c || c->out.a == c->out.len)
                continue;
            int f = b_flush(&c->out, c->fd);
            if (f < 0) {
                drop(i);
                continue;
            }
            int want = f == 0;
            if (want != c->want_out) {
                c->want_out = want;
                struct epoll_event e = {.events = EPOLLIN | (want ? EPOLLOUT : 0),
                                        .data.u64 = (uint64_t)i};
                epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
            }
        }
        if (exit_acked && S_ack.uniq >= exit_acked && dnext == dn && L[L_DLR_ACKED] >= dn) {
            int left = 0;
            for (int i = 0; i < nconn; i++)
                if (C[i] && C[i]->out.a < C[i]->out.len)
                    left = 1;
            if (!left)
                break;
        } /* never leave with answers unwritten */
        if (idle > 0 && (double)(t - last_activity) > idle * 1e6)
            break;
    }
    const char *of = opt("out", NULL);
    FILE *f = of ? fopen(of, "w") : stdout;
    double dt = (double)(L[L_LAST] - L[L_FIRST]) / 1e6,
           mdt = (double)(L[L_MO_LAST] - L[L_MO_START]) / 1e6;
    fprintf(
        f,
        "{\"tool\":\"smscsim\",\"submits\":%llu,\"unique\":%llu,\"duplicates\":%llu,\"dup_after_"
        "ack\":%llu,\"acked\":%llu,\"acked_unique\":%llu,\"no_marker\":%llu,\"malformed\":%llu,"
        "\"unexpected\":%llu,\"udh_parts\":%llu,\"payload_tlv\":%llu,\"throttled\":%llu,\"errors\":"
        "%llu,\"max_outstanding\":%llu,\"seconds\":%.3f,\"rate\":%.1f,",
        (unsigned long long)L[L_RX], (unsigned long long)S_rx.uniq, (unsigned long long)S_rx.dup,
        (unsigned long long)dup_after_ack, (unsigned long long)L[L_ACKED],
        (unsigned long long)S_ack.uniq, (unsigned long long)nomark, (unsigned long long)bad,
        (unsigned long long)unk, (unsigned long long)parts_udh, (unsigned long long)payload_tlv,
        (unsigned long long)L[L_THROTTLED], (unsigned long long)L[L_ERR],
        (unsigned long long)max_outst, dt, dt > 0 ? (double)S_rx.uniq / dt : 0);
    fprintf(f,
            "\"first_us\":%llu,\"last_us\":%llu,\"mo_first_us\":%llu,\"mo_sent\":%llu,\"mo_acked\":"
            "%llu,\"mo_acked_unique\":%llu,\"mo_nacked\":%llu,\"mo_seconds\":%.3f,\"mo_rate\":%.1f,"
            "\"dlr_made\":%zu,\"dlr_sent\":%llu,\"dlr_acked\":%llu,\"cpu_s\":%.3f,",
            (unsigned long long)L[L_FIRST], (unsigned long long)L[L_LAST],
            (unsigned long long)L[L_MO_START], (unsigned long long)L[L_MO_SENT],
            (unsigned long long)L[L_MO_ACKED], (unsigned long long)S_mo.uniq,
            (unsigned long long)L[L_MO_NACK], mdt, mdt > 0 ? (double)S_mo.uniq / mdt : 0, dn,
            (unsigned long long)L[L_DLR_SENT], (unsigned long long)L[L_DLR_ACKED], cpu_s());
    h_json(f, "submit_e2e", &H_e2e);
    fputc(',', f);
    h_json(f, "deliver_ack", &H_dl);
    fprintf(f, "}\n");
    if (of)
        fclose(f);
    const char *db = opt("dump", NULL);
    ids_dump(&S_rx, db, "rx");
    ids_dump(&S_ack, db, "acked");
    ids_dump(&S_mo, db, "moacked");
    return 0;
}
