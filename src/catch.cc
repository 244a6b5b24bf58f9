/* catch.cc - the one thing about exceptions that C cannot say.
 *
 * No C++ library comes with it: what the handler needs is weak, and there whenever there is a C++
 * program that can throw.
 */
#include "catch.h"

__asm__(".weak __gxx_personality_v0\n"
        ".weak __cxa_begin_catch\n"
        ".weak __cxa_end_catch\n");

bool arn__returns(void (*function)(void *), void *argument)
{
    try {
        function(argument);
        return true;
    } catch (...) {
        return false;
    }
}
