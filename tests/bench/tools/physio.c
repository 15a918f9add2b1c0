/* physio: what the machine gives. --what echo (loopback ping-pong, 1 and N in flight) | fsync
 * (fdatasync per append, sizes) --dir D --seconds S */
#include "common.h"
#include <sys/wait.h>
int main(int argc, char **argv) {
    g_argc = argc;
    g_argv = argv;
    opt_check("what dir seconds port size inflight");
    sig_setup();
    const char *w = opt("what", "fsync");
    double S = optd("seconds", 3);
    size_t sz = (size_t)optd("size", 300);
    if (!strcmp(w, "fsync")) {
        char p[1024];
        snprintf(p, sizeof p, "%s/physio.tmp", opt("dir", "."));
        int fd = open(p, O_RDWR | O_CREAT | O_TRUNC, 0644);
        if (fd < 0)
            die("open");
        char *b = calloc(1, sz);
        uint64_t n = 0, t0 = now_us(), t = t0;
        hist *H = calloc(1, sizeof *H);
        while ((double)(t - t0) < S * 1e6) {
            if (write(fd, b, sz) < 0 || fdatasync(fd))
                die("io");
            uint64_t u = now_us();
            h_add(H, u - t);
            t = u;
            n++;
        }
        close(fd);
        unlink(p);
        printf("{\"tool\":\"physio\",\"what\":\"fdatasync\",\"size\":%zu,\"per_s\":%.1f,", sz,
               (double)n / ((double)(t - t0) / 1e6));
        h_json(stdout, "lat", H);
        printf("}\n");
        return 0;
    }
    int inflight = (int)optd("inflight", 1), port = (int)optd("port", 23099);
    int l = listen_on("127.0.0.1", port);
    fcntl(l, F_SETFL, 0);
    pid_t ch = fork();
    if (!ch) {
        int fd = accept(l, NULL, NULL);
        nodelay(fd);
        char b[65536];
        ssize_t r;
        while ((r = recv(fd, b, sizeof b, 0)) > 0)
            if (send(fd, b, (size_t)r, MSG_NOSIGNAL) < 0)
                break;
        _exit(0);
    }
    int fd = dial("127.0.0.1", port);
    fcntl(fd, F_SETFL, 0);
    usleep(20000);
    char *b = calloc(1, 65536);
    size_t msg = 100;
    uint64_t n = 0, t0 = now_us(), t = t0;
    hist *H = calloc(1, sizeof *H);
    while ((double)(t - t0) < S * 1e6) {
        if (send(fd, b, msg * (size_t)inflight, MSG_NOSIGNAL) < 0)
            break;
        size_t got = 0;
        while (got < msg * (size_t)inflight) {
            ssize_t r = recv(fd, b, 65536, 0);
            if (r <= 0)
                die("echo");
            got += (size_t)r;
        }
        uint64_t u = now_us();
        h_add(H, u - t);
        t = u;
        n += (uint64_t)inflight;
    }
    close(fd);
    waitpid(ch, NULL, 0);
    printf("{\"tool\":\"physio\",\"what\":\"echo\",\"inflight\":%d,\"per_s\":%.1f,", inflight,
           (double)n / ((double)(t - t0) / 1e6));
    h_json(stdout, "rtt", H);
    printf("}\n");
    return 0;
}
