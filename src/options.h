/* options.h - what a user may set: ARENITE_OPTIONS=key=value,…
 *
 * One table in options.c names every key, its values and its bounds; show=1 prints it, and a test
 * compares that with the list in arenite(7). Read once, at the first block, and never in set-uid
 * programs. The command checks what it is given by the same table.
 */
#ifndef ARENITE_OPTIONS_H
#define ARENITE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum { HUGE_OFF, HUGE_AUTO, HUGE_ALWAYS };
enum { MISUSE_ABORT, MISUSE_IGNORE };
enum { STATS_OFF, STATS_EXIT };
enum { SWITCH_OFF, SWITCH_ON };
enum { DEEPBIND_DROP, DEEPBIND_KEEP };

struct options {
    size_t show;                /* SWITCH_ON: print the values in force */
    size_t stats;               /* STATS_EXIT: print statistics at exit */
    size_t purge_budget_bytes;  /* free dirty memory kept at least */
    size_t purge_delay_ms;      /* free dirty memory older than this is purged */
    size_t huge;                /* huge pages: HUGE_OFF, _AUTO, _ALWAYS */
    size_t misuse;              /* MISUSE_ABORT or MISUSE_IGNORE */
    size_t map_threshold_bytes; /* requests above this are mappings of their own */
    size_t guard_rate;          /* about one in so many blocks is sampled; 0: none. See sampled.h */
    size_t perturb;             /* not 0: blocks are overwritten as they come and go; see arn__perturb */
    size_t deepbind;            /* RTLD_DEEPBIND: DEEPBIND_DROP or DEEPBIND_KEEP; see plugin.c */
};

extern struct options arn__options;

/* Reads MALLOC_PERTURB_ and its tunable, as libc does, and then ARENITE_OPTIONS, if libc has its environment by
 * now. True: no need to call again. */
bool arn__options_read(void);

/* Applies "key=value,…", with or without spaces after the commas; says one line on stderr for each part
 * that is wrong, and goes on. True: none was. */
bool arn__options_apply(const char *text, const char *source);

/* Prints each option's value and where it is from, one line each. */
void arn__options_show(int fd);

#endif
