# does: faketime, whose library answers for the clocks, before the library and after it
# needs: faketime gcc perl
# limit: 180

set -euo pipefail

# Threads that allocate and ask for the time. (Python's threads, which wait by the clock, hang under
# faketime by themselves.)
cat >clocks.c <<'END'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void *run(void *argument)
{
    for (int i = 0; i < 300; i++) {
        char *blocks[30];
        for (int k = 0; k < 30; k++)
            memset(blocks[k] = malloc(1 + k * k * (i % 60)), k, 1 + k * k * (i % 60));
        struct timespec now;
        struct timeval also;
        clock_gettime(CLOCK_REALTIME, &now);
        gettimeofday(&also, NULL);
        if (now.tv_sec != also.tv_sec || time(NULL) != now.tv_sec)
            *(int *)argument = 1;
        for (int k = 0; k < 30; k++)
            free(blocks[k]);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[4];
    int wrong[4] = {0};
    for (int n = 0; n < 4; n++)
        pthread_create(&threads[n], NULL, run, &wrong[n]);
    for (int n = 0; n < 4; n++)
        pthread_join(threads[n], NULL);
    for (int n = 0; n < 4; n++) {
        pid_t child = fork();
        if (child == 0) {
            run(&wrong[n]);
            _exit(wrong[n] + 10);
        }
        int status;
        waitpid(child, &status, 0);
        time_t now = time(NULL);
        printf("%d %d %s", wrong[n], WEXITSTATUS(status), ctime(&now));
    }
    return 0;
}
END
gcc -O1 -fno-builtin -pthread clocks.c -o clocks
for option in '' -m; do
    under faketime $option -f '2001-02-03 04:05:06' date '+%F %T'
    under faketime $option -f '2001-02-03 04:05:06' ./clocks
    under faketime $option -f '2001-02-03 04:05:06' perl -e '
        my @blocks = map { "x" x ($_ * 100) } 1 .. 2000;
        print scalar(gmtime), "\n"'
    under faketime $option -f '2001-02-03 04:05:06' bash -c '(echo a child); touch file; date -r file +%Y'
done

for libfaketime in $(compgen -G '/usr/lib/*/faketime/libfaketime*.so.1'); do
    for position in FIRST LAST; do
        export "UNDER_$position=$libfaketime"
        FAKETIME='2001-02-03 04:05:06' under ./clocks
        FAKETIME='@2001-02-03 04:05:06' under sort --parallel=4 <(seq 50000) | sha256sum
        FAKETIME=+0 under bash -c 'for i in 1 2 3 4 5; do (echo "child $i"); done; echo "$(echo deep)"'
        FAKETIME=-1y under perl -e 'print "x" x length(time), "\n"; wait if fork; print "there\n"'
        unset "UNDER_$position"
    done
done
