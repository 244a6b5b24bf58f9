/* shim.h - GoogleTest for plain C.
 *
 *     TEST(pool, gives_back_what_it_took)
 *     {
 *         ASSERT_NE(block, NULL);                  // ends the test if it does not hold
 *         EXPECT_EQ(carved, 3);
 *         EXPECT_DEATH(arn_free(block), "double free");
 *     }
 *
 *     static const size_t sizes[] = {1, 16, 1024};
 *     TEST_EACH(pool, aligns, size_t, size, sizes) // one test per element: pool.aligns/0, /1, /2
 *     {
 *         EXPECT_EQ((uintptr_t)arn_malloc(size) % 16, 0);
 *     }
 *
 * The operands of EXPECT_EQ, NE, LT, LE, GT, GE are integers of any types (compared as numbers: -1
 * is less than SIZE_MAX), bools, doubles or pointers, evaluated once, shown when they fail.
 * ASSERT_… also returns from the function it stands in, which must return void. Any thread may
 * expect.
 */
#ifndef ARENITE_SHIM_H
#define ARENITE_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Tests ----------------------------------------------------------------------------------- */

#define TEST(suite_, name_)                             \
    static void test_##suite_##_##name_(void);          \
    static void shim_run_##suite_##_##name_(size_t idx) \
    {                                                   \
        (void)idx;                                      \
        test_##suite_##_##name_();                      \
    }                                                   \
    SHIM_REGISTER(suite_, name_, .elements = NULL)      \
    static void test_##suite_##_##name_(void)

#define TEST_EACH(suite_, name_, type_, element_, array_)                                          \
    static void test_##suite_##_##name_(type_ element_);                                           \
    static void shim_run_##suite_##_##name_(size_t idx)                                            \
    {                                                                                              \
        test_##suite_##_##name_((array_)[idx]);                                                    \
    }                                                                                              \
    SHIM_REGISTER(suite_, name_, .elements = (array_),                                             \
                  .count = sizeof(array_) / sizeof(array_)[0], .element_bytes = sizeof(array_)[0], \
                  .kind = SHIM_KIND((array_)[0]))                                                  \
    static void test_##suite_##_##name_(type_ element_)

/* Ends the test; neither passed nor failed. */
#define SKIP(reason_)                           \
    do {                                        \
        shim_skip(__FILE__, __LINE__, reason_); \
        return;                                 \
    } while (0)

/* --- Expectations ---------------------------------------------------------------------------- */

#define EXPECT_TRUE(condition_) SHIM_TRUE(condition_, #condition_, SHIM_GO_ON)
#define ASSERT_TRUE(condition_) SHIM_TRUE(condition_, #condition_, SHIM_RETURN)
#define EXPECT_FALSE(condition_) SHIM_TRUE(!(condition_), "not " #condition_, SHIM_GO_ON)
#define ASSERT_FALSE(condition_) SHIM_TRUE(!(condition_), "not " #condition_, SHIM_RETURN)

#define EXPECT_EQ(left_, right_) SHIM_COMPARE(==, left_, #left_, right_, #right_, SHIM_GO_ON)
#define ASSERT_EQ(left_, right_) SHIM_COMPARE(==, left_, #left_, right_, #right_, SHIM_RETURN)
#define EXPECT_NE(left_, right_) SHIM_COMPARE(!=, left_, #left_, right_, #right_, SHIM_GO_ON)
#define ASSERT_NE(left_, right_) SHIM_COMPARE(!=, left_, #left_, right_, #right_, SHIM_RETURN)
#define EXPECT_LT(left_, right_) SHIM_COMPARE(<, left_, #left_, right_, #right_, SHIM_GO_ON)
#define ASSERT_LT(left_, right_) SHIM_COMPARE(<, left_, #left_, right_, #right_, SHIM_RETURN)
#define EXPECT_LE(left_, right_) SHIM_COMPARE(<=, left_, #left_, right_, #right_, SHIM_GO_ON)
#define ASSERT_LE(left_, right_) SHIM_COMPARE(<=, left_, #left_, right_, #right_, SHIM_RETURN)
#define EXPECT_GT(left_, right_) SHIM_COMPARE(>, left_, #left_, right_, #right_, SHIM_GO_ON)
#define ASSERT_GT(left_, right_) SHIM_COMPARE(>, left_, #left_, right_, #right_, SHIM_RETURN)
#define EXPECT_GE(left_, right_) SHIM_COMPARE(>=, left_, #left_, right_, #right_, SHIM_GO_ON)
#define ASSERT_GE(left_, right_) SHIM_COMPARE(>=, left_, #left_, right_, #right_, SHIM_RETURN)

/* Strings: equal; and `text` contains `part`. Neither may be NULL. */
#define EXPECT_STREQ(left_, right_) \
    SHIM_STRINGS(shim_equal, left_, #left_ " equals " #right_, right_, SHIM_GO_ON)
#define ASSERT_STREQ(left_, right_) \
    SHIM_STRINGS(shim_equal, left_, #left_ " equals " #right_, right_, SHIM_RETURN)
#define EXPECT_CONTAINS(text_, part_) \
    SHIM_STRINGS(shim_contains, text_, #text_ " contains " #part_, part_, SHIM_GO_ON)
#define ASSERT_CONTAINS(text_, part_) \
    SHIM_STRINGS(shim_contains, text_, #text_ " contains " #part_, part_, SHIM_RETURN)

/* A failure in printf's words; FAIL also returns. */
#define ADD_FAILURE(...) shim_fail(__FILE__, __LINE__, __VA_ARGS__)
#define FAIL(...)                                   \
    do {                                            \
        shim_fail(__FILE__, __LINE__, __VA_ARGS__); \
        return;                                     \
    } while (0)

/* In printf's words, what this thread is about; shown with its failures in this test. */
void shim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define TRACE(...) shim_trace(__VA_ARGS__)

/* An expectation of the running test has failed. */
bool shim_failed(void);
#define HAS_FAILURE() shim_failed()

/* --- Processes ------------------------------------------------------------------------------- */

/* The statement, run in a child (a new process that gets here by running the test up to this
 * line), ends it unsuccessfully, or with `status_`, after what matches the extended regular
 * expression on stderr. */
#define EXPECT_DEATH(statement_, pattern_) \
    SHIM_CHILD(#statement_, SHIM_UNSUCCESSFUL, pattern_, statement_)
#define EXPECT_EXIT(statement_, status_, pattern_) \
    SHIM_CHILD(#statement_, status_, pattern_, statement_)

/* The statement holds in a process of its own: what it breaks, breaks there. */
#define IN_OWN_PROCESS(statement_) SHIM_CHILD(#statement_, 0, "", statement_; shim_exit())

/* This program is not one of the machine's: an emulator runs it, and knows less than a kernel. */
bool shim_emulated(void);
#define EMULATED shim_emulated()

/* --- Behind the macros ----------------------------------------------------------------------- */

enum shim_kind { SHIM_OTHER, SHIM_SIGNED, SHIM_UNSIGNED, SHIM_REAL, SHIM_STRING, SHIM_POINTER };

struct shim_test {
    const char *suite, *name;
    const char *file;
    int line;
    void (*run)(size_t idx);
    const void *elements; /* NULL: not a TEST_EACH */
    size_t count;
    size_t element_bytes;
    enum shim_kind kind;
    struct shim_test *next; /* the shim's */
};

struct shim_value {
    enum shim_kind kind;
    union {
        intmax_t number; /* SHIM_SIGNED */
        uintmax_t bits;  /* SHIM_UNSIGNED, SHIM_POINTER */
        double real;
    };
};

enum { SHIM_UNSUCCESSFUL = -1 };

/* After an expectation that does not hold. */
#define SHIM_GO_ON (void)0
#define SHIM_RETURN return

void shim_register(struct shim_test *test);
void shim_skip(const char *file, int line, const char *reason);
void shim_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void shim_fail_compare(const char *file, int line, const char *claim, struct shim_value left,
                       struct shim_value right);
int shim_compare(struct shim_value left, struct shim_value right);
bool shim_equal(const char *left, const char *right);
bool shim_contains(const char *text, const char *part);
bool shim_child(const char *file, int line, const char *statement, int status, const char *pattern);
void shim_survived(void);
void shim_exit(void);

#ifndef __cplusplus

#define SHIM_REGISTER(suite_, name_, ...)                                           \
    __attribute__((constructor)) static void shim_register_##suite_##_##name_(void) \
    {                                                                               \
        static struct shim_test test = {.suite = #suite_,                           \
                                        .name = #name_,                             \
                                        .file = __FILE__,                           \
                                        .line = __LINE__,                           \
                                        .run = shim_run_##suite_##_##name_,         \
                                        __VA_ARGS__};                               \
        shim_register(&test);                                                       \
    }

/* clang-format off */
#define SHIM_BY_TYPE(value_, signed_, unsigned_, real_, string_, other_)                           \
    _Generic((value_),                                                                             \
        char: signed_, signed char: signed_, short: signed_, int: signed_, long: signed_,          \
        long long: signed_,                                                                        \
        bool: unsigned_, unsigned char: unsigned_, unsigned short: unsigned_, unsigned: unsigned_, \
        unsigned long: unsigned_, unsigned long long: unsigned_,                                   \
        float: real_, double: real_,                                                               \
        char *: string_, const char *: string_,                                                    \
        default: other_)
/* clang-format on */

#define SHIM_KIND(value_) \
    SHIM_BY_TYPE(value_, SHIM_SIGNED, SHIM_UNSIGNED, SHIM_REAL, SHIM_STRING, SHIM_OTHER)
#define SHIM_VALUE(value_) \
    SHIM_BY_TYPE(value_, shim_signed, shim_unsigned, shim_real, shim_pointer, shim_pointer)(value_)

static inline struct shim_value shim_signed(intmax_t number)
{
    return (struct shim_value){.kind = SHIM_SIGNED, .number = number};
}

static inline struct shim_value shim_unsigned(uintmax_t bits)
{
    return (struct shim_value){.kind = SHIM_UNSIGNED, .bits = bits};
}

static inline struct shim_value shim_real(double real)
{
    return (struct shim_value){.kind = SHIM_REAL, .real = real};
}

static inline struct shim_value shim_pointer(const volatile void *pointer)
{
    return (struct shim_value){.kind = SHIM_POINTER, .bits = (uintptr_t)pointer};
}

#define SHIM_TRUE(condition_, text_, otherwise_)                 \
    do {                                                         \
        if (!(condition_)) {                                     \
            shim_fail(__FILE__, __LINE__, "expected %s", text_); \
            otherwise_;                                          \
        }                                                        \
    } while (0)

#define SHIM_COMPARE(is_, left_, left_text_, right_, right_text_, otherwise_)                     \
    do {                                                                                          \
        struct shim_value shim_left = SHIM_VALUE(left_), shim_right = SHIM_VALUE(right_);         \
        if (!(shim_compare(shim_left, shim_right) is_ 0)) {                                       \
            shim_fail_compare(__FILE__, __LINE__, left_text_ " " #is_ " " right_text_, shim_left, \
                              shim_right);                                                        \
            otherwise_;                                                                           \
        }                                                                                         \
    } while (0)

#define SHIM_STRINGS(holds_, left_, claim_, right_, otherwise_)                                    \
    do {                                                                                           \
        const char *shim_left = (left_), *shim_right = (right_);                                   \
        if (!holds_(shim_left, shim_right)) {                                                      \
            shim_fail(__FILE__, __LINE__, "expected %s\n   left: \"%s\"\n  right: \"%s\"", claim_, \
                      shim_left, shim_right);                                                      \
            otherwise_;                                                                            \
        }                                                                                          \
    } while (0)

/* Variadic: an expanded statement has commas. */
#define SHIM_CHILD(text_, status_, pattern_, ...)                       \
    do {                                                                \
        if (shim_child(__FILE__, __LINE__, text_, status_, pattern_)) { \
            __VA_ARGS__;                                                \
            shim_survived();                                            \
        }                                                               \
    } while (0)

#else
}
#endif

#endif
