/* Preloaded below a program, so that its disk can be watched and made to fail.
 *  DISK_UNDER   only files whose path begins so are meant
 *  DISK_LOG     every write, truncate, sync and unlink is written down there, with its data:
 *               kind (w t s d a), a blank, the file's name, a blank, offset or size, a blank,
 *               length, newline, data. A write to descriptor DISK_ACK is an "a" of what it says.
 *  DISK_FAIL    the call of this number (writes and syncs are counted) and the DISK_FAILS - 1
 *               behind it fail with the errno DISK_ERRNO. The program itself may say so, too:
 *               disk_arm(number, fails, errno) counts anew, disk_calls() tells how far it came. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int out = -1, ready, ack_fd = -1;
static long count, fail_at, fails, fail_errno;
static const char *under;
static void prepare(void) {
    if (ready)
        return;
    ready = 1;
    under = getenv("DISK_UNDER");
    const char *log = getenv("DISK_LOG"), *n = getenv("DISK_FAIL"), *k = getenv("DISK_FAILS"),
               *e = getenv("DISK_ERRNO"), *a = getenv("DISK_ACK");
    if (log)
        out = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                           0600);
    fail_at = n ? atol(n) : 0;
    fails = k ? atol(k) : 1;
    fail_errno = e ? atol(e) : EIO;
    ack_fd = a ? atoi(a) : -1;
}
void disk_arm(long number, long times, long with) {
    prepare();
    count = 0;
    fail_at = number;
    fails = times;
    fail_errno = with;
}
long disk_calls(void) { return count; }
static const char *mine(int fd, char *path) {
    char link[64];
    prepare();
    if (!under)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n < 0)
        return NULL;
    path[n] = 0;
    if (strncmp(path, under, strlen(under)))
        return NULL;
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
static int breaks(void) {
    long number = __sync_add_and_fetch(&count, 1);
    if (fail_at && number >= fail_at && number < fail_at + fails) {
        errno = (int)fail_errno;
        return 1;
    }
    return 0;
}
static void note(char kind, const char *name, long where, const void *data, size_t n) {
    if (out < 0)
        return;
    char head[PATH_MAX + 64];
    int h = snprintf(head, sizeof head, "%c %s %ld %zu\n", kind, name, where, n);
    pthread_mutex_lock(&lock);
    syscall(SYS_write, out, head, (size_t)h);
    for (size_t done = 0; done < n;) {
        long k = syscall(SYS_write, out, (const char *)data + done, n - done);
        if (k <= 0)
            break;
        done += (size_t)k;
    }
    pthread_mutex_unlock(&lock);
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    char path[PATH_MAX];
    const char *name = mine(fd, path);
    if (name && breaks())
        return -1;
    ssize_t done = syscall(SYS_pwrite64, fd, data, n, at);
    if (name && done > 0)
        note('w', name, (long)at, data, (size_t)done);
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return pwrite64(fd, data, n, at); }
ssize_t write(int fd, const void *data, size_t n) {
    ssize_t done = syscall(SYS_write, fd, data, n);
    prepare();
    if (fd == ack_fd && done > 0)
        note('a', "-", 0, data, (size_t)done);
    return done;
}
static int synced(int call, int fd) {
    char path[PATH_MAX];
    const char *name = mine(fd, path);
    if (name && breaks())
        return -1;
    int status = (int)syscall(call, fd);
    if (name && !status)
        note('s', name, 0, "", 0);
    return status;
}
int fsync(int fd) { return synced(SYS_fsync, fd); }
int fdatasync(int fd) { return synced(SYS_fdatasync, fd); }
int ftruncate64(int fd, off64_t size) {
    char path[PATH_MAX];
    const char *name = mine(fd, path);
    int status = (int)syscall(SYS_ftruncate, fd, size);
    if (name && !status)
        note('t', name, (long)size, "", 0);
    return status;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
int unlink(const char *path) {
    prepare();
    int status = (int)syscall(SYS_unlink, path);
    if (!status && under && !strncmp(path, under, strlen(under)))
        note('d', strrchr(path, '/') + 1, 0, "", 0);
    return status;
}
