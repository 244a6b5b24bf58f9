/* file.c - a process's trace file: its name, and the window that moves along it.
 *
 * Runs inside the program's malloc: allocates nothing, leaves errno alone, and goes by syscall()
 * where libc's function is a point of cancellation, since a thread that ended here would keep the
 * recorder's lock.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Twice the largest page, since the file seldom ends at a page's end; and 20,000 records at least:
 * moving on costs each of them nothing. */
enum { WINDOW_BYTES = 1 << 17, RESERVE_BYTES = 64 };

static int open_file(const char *path, int flags)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_RDWR | O_CLOEXEC | O_NOCTTY, 0666);
}

void file_complain(const char *path, int error)
{
    const char *reason = strerrordesc_np(error);
    const char *const parts[] = {"arenite: cannot record to ", path, ": ",
                                 reason == NULL ? "error" : reason, "\n"};
    enum { PARTS = sizeof parts / sizeof *parts };
    struct iovec line[PARTS];
    for (size_t i = 0; i < PARTS; i++)
        line[i] = (struct iovec){(void *)(uintptr_t)parts[i], strlen(parts[i])};
    syscall(SYS_writev, STDERR_FILENO, line, PARTS);
}

/* --- The window ------------------------------------------------------------------------------- */

/* Fills the file with zeros up to `end`. Written, not only made longer: a full disk shows here, and
 * not as a SIGBUS when the window is stored to. */
static bool extend(int fd, uint64_t from, uint64_t end)
{
    static char zeros[WINDOW_BYTES]; /* never touched: costs no memory */
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < end) {
        errno = EFBIG; /* writing would send SIGXFSZ to the program */
        return false;
    }
    while (from < end) {
        long put = syscall(SYS_pwrite64, fd, zeros, (size_t)(end - from), from);
        if (put < 0 && errno != EINTR)
            return false;
        from += put < 0 ? 0 : (uint64_t)put;
    }
    return true;
}

/* Maps what begins at the page of the file's end. A forked child does not inherit the mapping: the
 * parent goes on writing there. */
static bool move_window(struct file *file, int fd)
{
    uint64_t mapped_end = file->window == NULL ? 0 : file->offset + WINDOW_BYTES;
    uint64_t end = file->offset + file->used_bytes;
    uint64_t offset = end & -(uint64_t)sysconf(_SC_PAGESIZE);
    if (!extend(fd, mapped_end, offset + WINDOW_BYTES))
        return false;
    void *window = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
    if (window == MAP_FAILED)
        return false;
    madvise(window, WINDOW_BYTES, MADV_DONTFORK);
    if (file->window != NULL)
        munmap(file->window, WINDOW_BYTES);
    file->window = window;
    file->used_bytes = (size_t)(end - offset);
    file->offset = offset;
    return true;
}

unsigned char *file_reserve(struct file *file, size_t bytes)
{
    if (file->used_bytes + RESERVE_BYTES >= WINDOW_BYTES) {
        int saved = errno;
        int fd = open_file(file->path, 0);
        bool moved = fd >= 0 && move_window(file, fd);
        if (!moved)
            file_complain(file->path, errno);
        if (fd >= 0)
            syscall(SYS_close, fd);
        errno = saved;
        if (!moved)
            return NULL;
    }
    unsigned char *at = file->window + file->used_bytes;
    file->used_bytes += bytes;
    return at;
}

void file_close(struct file *file)
{
    int saved = errno;
    if (file->window != NULL)
        munmap(file->window, WINDOW_BYTES);
    file->window = NULL;
    if (truncate(file->path, (off_t)(file->offset + file->used_bytes + 1)) != 0) {
        /* The zeros at its end stay; they do no harm. */
    }
    errno = saved;
}

/* --- The name --------------------------------------------------------------------------------- */

static char *append_number(char *at, unsigned long number)
{
    char digits[24], *digit = digits + sizeof digits;
    *--digit = '\0';
    do
        *--digit = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    *at++ = '.';
    return stpcpy(at, digit);
}

/* Returns a descriptor, or -1 and errno. */
static int create_unique(char path[FILE_NAME_BYTES], const char *wanted)
{
    char *end = stpcpy(path, wanted);
    int fd = open_file(path, O_CREAT | O_EXCL);
    if (fd >= 0 || errno != EEXIST)
        return fd;
    end = append_number(end, (unsigned long)getpid());
    for (unsigned long image = 2; (fd = open_file(path, O_CREAT | O_EXCL)) < 0; image++) {
        if (errno != EEXIST)
            return -1;
        append_number(end, image);
    }
    return fd;
}

bool file_create(struct file *file, const char *path)
{
    int saved = errno;
    file->window = NULL;
    file->used_bytes = 0;
    file->offset = 0;
    int fd = create_unique(file->path, path);
    bool mapped = fd >= 0 && move_window(file, fd);
    if (!mapped)
        file_complain(file->path, errno);
    if (fd >= 0)
        syscall(SYS_close, fd);
    errno = saved;
    return mapped;
}
