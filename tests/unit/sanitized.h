/* sanitized.h - is this built with a sanitizer? Some tests do less then, or nothing. */
#ifndef ARENITE_SANITIZED_H
#define ARENITE_SANITIZED_H

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#elif defined(__has_feature)
enum { SANITIZED = __has_feature(thread_sanitizer) || __has_feature(address_sanitizer) };
#else
enum { SANITIZED = 0 };
#endif

#endif
