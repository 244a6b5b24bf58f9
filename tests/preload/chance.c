/* chance.c - where the first block of a program lies, and how far from libc, differs from start to start, as it does
 * with libc's malloc: that one passes, too.
 */
#include <stdint.h>
#include <sys/personality.h>

#include "self.h"

enum {
    STARTS = 300,
    /* Of 300 numbers out of so many, each as likely as the others, so many are different: of 512, as with libc's
     * malloc, 227; of 128, 116. */
    LEAST_PLACES = 200,    /* modulo 2 MiB */
    LEAST_DISTANCES = 280, /* to libc's variables */
};

static int say_places(void)
{
    uintptr_t block = (uintptr_t)opaque(malloc(100));
    dprintf(2, "%zx %zx", block % (2 << 20), (uintptr_t)stdout - block);
    return 0;
}

static unsigned count_different(const uintptr_t *numbers)
{
    unsigned different = 0;
    for (size_t i = 0; i < STARTS; i++) {
        size_t k = 0;
        while (numbers[k] != numbers[i])
            k++;
        different += k == i;
    }
    return different;
}

static int addresses_are_random(void)
{
    char answer = '0';
    int file = open("/proc/sys/kernel/randomize_va_space", O_RDONLY);
    if (file >= 0 && read(file, &answer, 1) != 1)
        answer = '0';
    close(file);
    return answer == '2' && (personality(0xffffffff) & ADDR_NO_RANDOMIZE) == 0;
}

int main(int count, char **arguments)
{
    static uintptr_t places[STARTS], distances[STARTS];
    struct said said;
    (void)arguments;
    if (count > 1)
        return say_places();
    if (emulated() || !addresses_are_random())
        SKIP("addresses are not random here");
    for (size_t i = 0; i < STARTS; i++) {
        run_again(&said, "say", NULL, NULL);
        CHECK(said.status == 0 && sscanf(said.text, "%zx %zx", &places[i], &distances[i]) == 2);
    }
    unsigned different = count_different(places), distant = count_different(distances);
    if (different >= LEAST_PLACES && distant >= LEAST_DISTANCES)
        return 0;
    dprintf(2, "in %d starts: %u places modulo 2 MiB, %u distances to libc\n", STARTS, different,
            distant);
    return 1;
}
