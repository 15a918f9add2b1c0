/* Shared helpers of the bench tools: clock, histogram, message marker, live counters, epoll, JSON.
 */
#ifndef COMMON_H
#define COMMON_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000ull + (uint64_t)t.tv_nsec / 1000;
}
static inline void die(const char *f, ...) {
    va_list a;
    va_start(a, f);
    vfprintf(stderr, f, a);
    va_end(a);
    fputc('\n', stderr);
    exit(2);
}

/* ---- histogram: log-linear, 32 steps per power of two (about 3 % error) ---- */
typedef struct {
    uint64_t n, sum, max;
    uint64_t b[60 * 32];
} hist;
static inline void h_add(hist *h, uint64_t v) {
    unsigned i;
    if (v < 32)
        i = (unsigned)v;
    else {
        unsigned e = 63 - (unsigned)__builtin_clzll(v);
        i = (e - 4) * 32 + ((v >> (e - 5)) & 31);
    }
    h->b[i]++;
    h->n++;
    h->sum += v;
    if (v > h->max)
        h->max = v;
}
static inline double h_q(const hist *h, double q) {
    if (!h->n)
        return 0;
    uint64_t want = (uint64_t)(q * (double)h->n), c = 0;
    if (want >= h->n)
        want = h->n - 1;
    for (unsigned i = 0; i < 60 * 32; i++) {
        c += h->b[i];
        if (c > want) {
            if (i < 32)
                return i;
            unsigned e = i / 32 + 4, s = i % 32;
            double lo = (double)((32ull + s) << (e - 5));
            double v = lo + (double)(1ull << (e - 5)) / 2;
            return v > (double)h->max ? (double)h->max : v;
        }
    }
    return (double)h->max;
}
static inline void h_json(FILE *f, const char *name, const hist *h) {
    fprintf(f,
            "\"%s\":{\"n\":%llu,\"mean_ms\":%.3f,\"p50_ms\":%.3f,\"p95_ms\":%.3f,\"p99_ms\":%.3f,"
            "\"max_ms\":%.3f}",
            name, (unsigned long long)h->n, h->n ? (double)h->sum / (double)h->n / 1e3 : 0,
            h_q(h, .5) / 1e3, h_q(h, .95) / 1e3, h_q(h, .99) / 1e3, (double)h->max / 1e3);
}

/* ---- message marker: XQ<8 digit id>.<13 digit monotonic microseconds>QX ---- */
#define MARK_LEN 26
static inline void mark_make(char *o, uint32_t id, uint64_t ts) {
    o[0] = 'X';
    o[1] = 'Q';
    for (int i = 9; i >= 2; i--) {
        o[i] = (char)('0' + id % 10);
        id /= 10;
    }
    o[10] = '.';
    for (int i = 23; i >= 11; i--) {
        o[i] = (char)('0' + ts % 10);
        ts /= 10;
    }
    o[24] = 'Q';
    o[25] = 'X';
}
static inline const char *mark_find(const char *p, size_t n, uint32_t *id, uint64_t *ts) {
    const char *e = p + n;
    while ((size_t)(e - p) >= MARK_LEN) {
        const char *q = memchr(p, 'X', (size_t)(e - p) - MARK_LEN + 1);
        if (!q)
            return NULL;
        p = q + 1;
        if (q[1] != 'Q' || q[10] != '.' || q[24] != 'Q' || q[25] != 'X')
            continue;
        uint32_t v = 0;
        uint64_t t = 0;
        int ok = 1;
        for (int i = 2; i < 10; i++) {
            if (q[i] < '0' || q[i] > '9')
                ok = 0;
            v = v * 10 + (uint32_t)(q[i] - '0');
        }
        for (int i = 11; i < 24; i++) {
            if (q[i] < '0' || q[i] > '9')
                ok = 0;
            t = t * 10 + (uint64_t)(q[i] - '0');
        }
        if (!ok)
            continue;
        *id = v;
        *ts = t;
        return q + MARK_LEN;
    }
    return NULL;
}

/* ---- per id counters (u8, saturating) ---- */
typedef struct {
    uint8_t *c;
    uint32_t cap;
    uint64_t uniq, dup;
} idset;
static inline unsigned ids_add(idset *s, uint32_t id) {
    if (id >= s->cap) {
        uint32_t n = s->cap ? s->cap : 1u << 20;
        while (n <= id)
            n *= 2;
        s->c = realloc(s->c, n);
        if (!s->c)
            die("oom");
        memset(s->c + s->cap, 0, n - s->cap);
        s->cap = n;
    }
    if (s->c[id])
        s->dup++;
    else
        s->uniq++;
    if (s->c[id] < 255)
        s->c[id]++;
    return s->c[id];
}
static inline unsigned ids_get(const idset *s, uint32_t id) { return id < s->cap ? s->c[id] : 0; }
static inline void ids_dump(const idset *s, const char *base, const char *suffix) {
    if (!base)
        return;
    char p[1024];
    snprintf(p, sizeof p, "%s.%s", base, suffix);
    FILE *f = fopen(p, "wb");
    if (!f)
        die("open %s", p);
    uint32_t last = 0;
    for (uint32_t i = 0; i < s->cap; i++)
        if (s->c[i])
            last = i + 1;
    fwrite(s->c, 1, last, f);
    fclose(f);
}

/* ---- live counters: an mmapped file of 32 u64, readable by the runner while the tool works ----
 */
static uint64_t *live_open(const char *path) {
    int fd = open(path ? path : "/dev/null", O_RDWR | O_CREAT | (path ? O_TRUNC : 0), 0644);
    if (!path) {
        close(fd);
        return calloc(32, 8);
    }
    if (fd < 0 || ftruncate(fd, 256))
        die("live %s", path);
    void *m = mmap(NULL, 256, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (m == MAP_FAILED)
        die("mmap");
    return m;
}

/* ---- growable byte buffer with a consumed head ---- */
typedef struct {
    char *p;
    size_t a, len, cap;
} buf;
static inline void b_need(buf *b, size_t n) {
    if (b->a && (b->a == b->len))
        b->a = b->len = 0;
    if (b->cap - b->len >= n)
        return;
    if (b->a) {
        memmove(b->p, b->p + b->a, b->len - b->a);
        b->len -= b->a;
        b->a = 0;
        if (b->cap - b->len >= n)
            return;
    }
    size_t c = b->cap ? b->cap : 16384;
    while (c - b->len < n)
        c *= 2;
    b->p = realloc(b->p, c);
    if (!b->p)
        die("oom");
    b->cap = c;
}
static inline void b_put(buf *b, const void *d, size_t n) {
    b_need(b, n);
    memcpy(b->p + b->len, d, n);
    b->len += n;
}
/* 1 all written, 0 would block, -1 error */
static inline int b_flush(buf *b, int fd) {
    while (b->a < b->len) {
        ssize_t w = send(fd, b->p + b->a, b->len - b->a, MSG_NOSIGNAL);
        if (w > 0)
            b->a += (size_t)w;
        else if (w < 0 && errno == EAGAIN)
            return 0;
        else if (w < 0 && errno == EINTR)
            continue;
        else
            return -1;
    }
    b->a = b->len = 0;
    return 1;
}

static inline int listen_on(const char *host, int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &a.sin_addr);
    if (bind(fd, (void *)&a, sizeof a) || listen(fd, 4096))
        die("listen %s:%d: %s", host, port, strerror(errno));
    return fd;
}
static inline int dial(const char *host, int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0)
        die("socket: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &a.sin_addr);
    if (connect(fd, (void *)&a, sizeof a) && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}
static inline void nodelay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static volatile sig_atomic_t g_stop, g_usr1, g_usr2;
static void on_sig(int s) {
    if (s == SIGUSR1)
        g_usr1 = 1;
    else if (s == SIGUSR2)
        g_usr2 = 1;
    else
        g_stop = 1;
}
static void sig_setup(void) {
    struct sigaction sa = {.sa_handler = on_sig};
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGUSR1, &sa, NULL);
    sigaction(SIGUSR2, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit r;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
}
static inline double cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- options: --name value ---- */
static int g_argc;
static char **g_argv;
static const char *opt(const char *name, const char *def) {
    for (int i = 1; i < g_argc; i++)
        if (!strncmp(g_argv[i], "--", 2) && !strcmp(g_argv[i] + 2, name)) {
            if (i + 1 >= g_argc)
                die("--%s needs a value", name);
            return g_argv[i + 1];
        }
    return def;
}
static double optd(const char *name, double def) {
    const char *s = opt(name, NULL);
    return s ? atof(s) : def;
}
static void opt_check(const char *allowed) { /* space separated list */
    for (int i = 1; i < g_argc; i += 2) {
        char t[128];
        if (strncmp(g_argv[i], "--", 2))
            die("bad option %s", g_argv[i]);
        snprintf(t, sizeof t, " %s ", g_argv[i] + 2);
        char all[2048];
        snprintf(all, sizeof all, " %s ", allowed);
        if (!strstr(all, t))
            die("unknown option %s (known:%s)", g_argv[i], all);
    }
}
static inline uint64_t rnd(void) {
    static uint64_t s = 0x9E3779B97F4A7C15ull;
    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    return s;
}
static inline int pct(double p) { return p > 0 && (double)(rnd() % 1000000) < p * 10000.0; }
#endif
