/* dict.h - values by keys, which are ints and strs, in the order in which they came.
 *
 * The table is plain memory, which no shape of references describes: the type says itself what it refers to.
 */
#ifndef INTERPRETER_DICT_H
#define INTERPRETER_DICT_H

#include "value.h"

struct entry {
    void *key, *value; /* NULL both: it was removed */
};

struct dict {
    struct entry *entries; /* `room` of them, `used` in use or removed, `count` in use */
    uint32_t *index;       /* behind them: INDEX_PER_ENTRY times as many; by hash, an entry's number
                            * and 1, or 0 */
    size_t room;           /* a power of two, or 0 */
    size_t used, count;
};

struct dict *dict_new(void);
bool dict_is_key(const void *value);

/* Borrowed; NULL: none. */
void *dict_get(const struct dict *dict, const void *key);

/* False: no memory. */
bool dict_set(struct dict *dict, void *key, void *value);

/* False: there is none. */
bool dict_remove(struct dict *dict, const void *key);

/* The type's own: see arn_type_info. Once cleared, a dict is empty, and can be used again. */
void dict_traverse(void *dict, arn_visit *visit, void *context);
void dict_clear(void *dict);

#endif
