// shim.cc - the C tests as GoogleTest sees them, and its results as TAP.
#include "shim.h"

#include <gtest/gtest.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sstream>
#include <string>
#include <unistd.h>

using testing::internal::DeathTest;

namespace
{

// Filled by constructors, before anything of C++ is sure to be initialised.
shim_test *first_test;
shim_test **last_link = &first_test;

// What this process has to do to die well; null outside of a death test's child.
DeathTest *dying;

thread_local std::string context;

class CTest : public testing::Test
{
  public:
    CTest(const shim_test *test, size_t idx) : test_(test), idx_(idx)
    {
    }

    void TestBody() override
    {
        context.clear();
        test_->run(idx_);
        context.clear();
        if (dying != nullptr)
            dying->Abort(DeathTest::TEST_ENCOUNTERED_RETURN_STATEMENT);
    }

  private:
    const shim_test *test_;
    size_t idx_;
};

std::string show(const shim_value &value)
{
    std::ostringstream text;
    if (value.kind == SHIM_SIGNED)
        text << value.number;
    else if (value.kind == SHIM_REAL)
        text << value.real;
    else if (value.kind == SHIM_POINTER)
        text << "0x" << std::hex << value.bits;
    else if (value.bits < 4096)
        text << value.bits;
    else
        text << value.bits << " = 0x" << std::hex << value.bits;
    return text.str();
}

// Shown beside the test's name. The machine is little-endian: the low bytes are the number.
std::string show_element(const shim_test *test, size_t idx)
{
    const char *element = static_cast<const char *>(test->elements) + idx * test->element_bytes;
    shim_value value = {};
    value.kind = test->kind;
    switch (test->kind) {
    case SHIM_STRING: {
        const char *string;
        memcpy(&string, element, sizeof string);
        return string != nullptr ? string : "NULL";
    }
    case SHIM_SIGNED:
        memcpy(&value.bits, element, test->element_bytes);
        // Sign extension from the element's width.
        value.number = static_cast<intmax_t>(value.bits << (64 - 8 * test->element_bytes)) >>
                       (64 - 8 * test->element_bytes);
        return show(value);
    case SHIM_UNSIGNED:
        memcpy(&value.bits, element, test->element_bytes);
        return show(value);
    default:
        return "";
    }
}

void register_one(const shim_test *test, size_t idx)
{
    std::string name = test->name;
    std::string element;
    if (test->elements != nullptr) {
        name += '/' + std::to_string(idx);
        element = show_element(test, idx);
    }
    testing::RegisterTest(test->suite, name.c_str(), nullptr,
                          element.empty() ? nullptr : element.c_str(), test->file, test->line,
                          [=]() -> CTest * { return new CTest(test, idx); });
}

class Tap : public testing::EmptyTestEventListener
{
    void OnTestStart(const testing::TestInfo &test) override
    {
        // Names the culprit should the process die.
        printf("# %s.%s\n", test.test_suite_name(), test.name());
    }

    void OnTestPartResult(const testing::TestPartResult &part) override
    {
        std::istringstream message(part.message());
        printf("# %s:%d:\n", part.file_name() != nullptr ? part.file_name() : "?",
               part.line_number());
        for (std::string line; std::getline(message, line);)
            printf("#   %s\n", line.c_str());
    }

    void OnTestEnd(const testing::TestInfo &test) override
    {
        const testing::TestResult &result = *test.result();
        printf("%s %d - %s.%s", result.Failed() ? "not ok" : "ok", ++count_, test.test_suite_name(),
               test.name());
        if (test.value_param() != nullptr)
            printf(" (%s)", test.value_param());
        if (result.Skipped())
            printf(" # SKIP %s", result.GetTestPartResult(0).message());
        putchar('\n');
    }

    void OnTestProgramEnd(const testing::UnitTest &all) override
    {
        int skipped = all.skipped_test_count();
        printf("1..%d\n%d passed, %d failed", count_, all.successful_test_count(),
               all.failed_test_count());
        if (skipped != 0)
            printf(", %d skipped", skipped);
        putchar('\n');
    }

    int count_ = 0;
};

std::string format_text(const char *format, va_list arguments)
{
    char text[1024];
    vsnprintf(text, sizeof text, format, arguments);
    return text;
}

void fail(const char *file, int line, std::string message)
{
    if (!context.empty())
        message += "\n  while: " + context;
    if (dying != nullptr) {
        // The parent shows this; the exit status tells it.
        fprintf(stderr, "%s:%d: %s\n", file, line, message.c_str());
        _exit(1);
    }
    GTEST_MESSAGE_AT_(file, line, message.c_str(), testing::TestPartResult::kNonFatalFailure);
}

// The command that runs this program (qemu-aarch64 -L …) where it is not one of this machine's.
std::string emulator()
{
    const char *command = getenv("EMULATOR");
    return command == nullptr ? "" : command;
}

// What a child says on stderr, without what its emulator says of its end.
class Said : public testing::MatcherInterface<const std::string &>
{
  public:
    explicit Said(const char *pattern)
        : matcher(testing::internal::MakeDeathTestMatcher(pattern)) {}

    bool MatchAndExplain(const std::string &said,
                         testing::MatchResultListener *listener) const override
    {
        size_t emulators = emulator().empty() ? std::string::npos : said.find("qemu: uncaught");
        return matcher.MatchAndExplain(said.substr(0, emulators), listener);
    }

    void DescribeTo(std::ostream *out) const override
    {
        matcher.DescribeTo(out);
    }

  private:
    testing::Matcher<const std::string &> matcher;
};

bool ended_as_expected(int wait_status, int status)
{
    if (status == SHIM_UNSUCCESSFUL)
        return testing::internal::ExitedUnsuccessfully(wait_status);
    return testing::ExitedWithCode(status)(wait_status);
}

void start_children_under(const std::string &command, int argc, char **argv)
{
    std::istringstream words(command);
    std::vector<std::string> arguments = {"/usr/bin/env"};
    for (std::string word; words >> word;)
        arguments.push_back(word);
    arguments.insert(arguments.end(), argv, argv + argc);
    testing::internal::SetInjectableArgvs(arguments);
}

} // namespace

void shim_register(shim_test *test)
{
    *last_link = test;
    last_link = &test->next;
}

void shim_skip(const char *file, int line, const char *reason)
{
    GTEST_MESSAGE_AT_(file, line, reason, testing::TestPartResult::kSkip);
}

void shim_trace(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    context = format_text(format, arguments);
    va_end(arguments);
}

bool shim_failed()
{
    return testing::Test::HasFailure();
}

void shim_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail(file, line, format_text(format, arguments));
    va_end(arguments);
}

void shim_fail_compare(const char *file, int line, const char *claim, shim_value left,
                       shim_value right)
{
    fail(file, line,
         std::string("expected ") + claim + "\n   left: " + show(left) +
             "\n  right: " + show(right));
}

int shim_compare(shim_value left, shim_value right)
{
    auto order = [](auto a, auto b) { return a < b ? -1 : a > b; };
    auto real = [](const shim_value &value) {
        return value.kind == SHIM_REAL     ? value.real
               : value.kind == SHIM_SIGNED ? static_cast<double>(value.number)
                                           : static_cast<double>(value.bits);
    };
    auto negative = [](const shim_value &value) {
        return value.kind == SHIM_SIGNED && value.number < 0;
    };
    if (left.kind == SHIM_REAL || right.kind == SHIM_REAL)
        return order(real(left), real(right));
    if (negative(left) != negative(right))
        return negative(left) ? -1 : 1;
    return order(left.bits, right.bits);
}

bool shim_equal(const char *left, const char *right)
{
    return strcmp(left, right) == 0;
}

bool shim_contains(const char *text, const char *part)
{
    return strstr(text, part) != nullptr;
}

// What EXPECT_EXIT expands to in C++, in two halves: the statement is C, and follows in the caller.
bool shim_child(const char *file, int line, const char *statement, int status, const char *pattern)
{
    DeathTest *death_test;
    if (!DeathTest::Create(statement, testing::MakeMatcher(new Said(pattern)), file, line,
                           &death_test)) {
        fail(file, line, std::string("no death test: ") + DeathTest::LastMessage());
        return false;
    }
    if (death_test == nullptr) // this process is the child of another death test
        return false;
    if (death_test->AssumeRole() == DeathTest::EXECUTE_TEST) {
        dying = death_test;
        return true;
    }
    std::unique_ptr<DeathTest> parent(death_test);
    if (!parent->Passed(ended_as_expected(parent->Wait(), status)))
        fail(file, line, std::string("ended otherwise\n") + DeathTest::LastMessage());
    return false;
}

bool shim_emulated()
{
    return !emulator().empty();
}

void shim_survived()
{
    dying->Abort(DeathTest::TEST_DID_NOT_DIE);
}

void shim_exit()
{
    exit(0);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, nullptr, _IOLBF, 0);
    // A child that starts afresh, not a fork of a process that may have threads.
    testing::GTEST_FLAG(death_test_style) = "threadsafe";
    for (const shim_test *test = first_test; test != nullptr; test = test->next) {
        size_t count = test->elements != nullptr ? test->count : 1;
        for (size_t idx = 0; idx < count; idx++)
            register_one(test, idx);
    }
    testing::InitGoogleTest(&argc, argv);
    if (!emulator().empty())
        start_children_under(emulator(), argc, argv);
    testing::TestEventListeners &listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new Tap);
    int status = RUN_ALL_TESTS();
    // Nothing run is nothing shown: a filter that matches no test is a mistake.
    return testing::UnitTest::GetInstance()->test_to_run_count() == 0 ? 1 : status;
}
