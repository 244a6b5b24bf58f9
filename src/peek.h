/* peek.h - loads of the fast paths. */
#ifndef ARENITE_PEEK_H
#define ARENITE_PEEK_H

#include <stdatomic.h>

/* A relaxed load on the fast path. gcc folds no atomic load into the instruction that uses it, so
 * this is a plain one; aligned words are read whole on every machine we know, and the thread
 * sanitizer is shown the atomic. */
#if !defined(__has_feature)
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define ARN__PEEK(object) atomic_load_explicit(&(object), memory_order_relaxed)
#else
#define ARN__PEEK(object) (*(const __typeof__(atomic_load(&(object))) *)&(object))
#endif

#endif
