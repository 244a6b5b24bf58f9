/* object.hpp - counted objects of C++ classes: ref, weak, make. For C++17, with or without exceptions.
 *
 *     struct node {
 *         std::string text;
 *         arenite::ref<node> parent;
 *         std::vector<arenite::ref<node>> children;
 *     };
 *     template <>
 *     struct arenite::description<node> : arenite::references<&node::parent, &node::children> {
 *         static constexpr const char *name = "node";
 *     };
 *
 *     auto root = arenite::make<node>();
 *     root->children.push_back(arenite::make<node>());
 *     root->children[0]->parent = root;           // a cycle
 *     root = nullptr;
 *     arn_gc_collect(2);                          // 2
 *
 * The references of an object are the members that its class's description lists: each a ref, or a range
 * of them. The library only asks for them (ARN_CUSTOM) and releases none itself: it has an object that it
 * releases, dead or found in a cycle, reset them one by one and then calls the destructor. So each is given
 * up once, and a destructor finds them null: in a cycle, what they referred to may be destroyed already.
 * What has to look at them is the description's finalize. A ref that is not listed counts as one from
 * outside: a cycle through it is never found.
 *
 * The collector looks at an object once its constructor has returned. If that throws, the object is
 * released, and its destructor is not called.
 *
 * Destructors and finalizers must not throw. See object.h for what threads may do, and arenite-object(7).
 */
#ifndef ARENITE_OBJECT_HPP
#define ARENITE_OBJECT_HPP

#include <arenite/object.h>

#include <cstdlib>
#include <functional>
#include <iterator>
#include <new>
#include <type_traits>
#include <utility>

namespace arenite
{

/* Of each class that has objects, specialised after it, before its objects are made; derived from
 * references<…>, with
 *
 *     static constexpr const char *name = …;
 *     static void finalize(T &object);            // if need be: see arn_type_info
 *     static constexpr bool shared = true;        // if need be: counted atomically from birth
 */
template <typename T> struct description;

template <typename T> class ref;

namespace detail
{

/* To a base. One that is not where the object begins is no object: abort(). The compiler knows. */
template <typename T, typename U> T *base_of(U *object) noexcept
{
    T *base = object;
    if (static_cast<const void *>(base) != static_cast<const void *>(object))
        std::abort();
    return base;
}

/* Calls step(ref) for a member that is one, or for each that is in it. */
template <typename T, typename Step> void each(ref<T> &reference, Step step)
{
    step(reference);
}

template <typename Range, typename Step>
auto each(Range &range, Step step) -> decltype(std::begin(range), void())
{
    for (auto &item : range)
        each(item, step);
}

} // namespace detail

/* The members, as pointers to them: &node::parent. */
template <auto... Members> struct references {
    static constexpr bool any = sizeof...(Members) > 0;
    static constexpr bool shared = false;

    template <typename T, typename Step> static void each([[maybe_unused]] T &object, Step step)
    {
        (detail::each(object.*Members, step), ..., (void)step);
    }
};

/* A reference, or null. */
template <typename T> class ref
{
  public:
    ref() noexcept = default;
    ref(std::nullptr_t) noexcept
    {
    }

    /* One reference more. */
    explicit ref(T *object) noexcept : object_(object)
    {
        arn_xincref(object_);
    }

    /* The reference that the caller has. */
    static ref adopt(T *object) noexcept
    {
        ref reference;
        reference.object_ = object;
        return reference;
    }

    ref(const ref &other) noexcept : ref(other.object_)
    {
    }

    ref(ref &&other) noexcept : object_(other.release())
    {
    }

    /* To a base that the object begins with. */
    template <typename U, typename = std::enable_if_t<std::is_convertible_v<U *, T *>>>
    ref(const ref<U> &other) noexcept : ref(detail::base_of<T>(other.get()))
    {
    }

    template <typename U, typename = std::enable_if_t<std::is_convertible_v<U *, T *>>>
    ref(ref<U> &&other) noexcept : object_(detail::base_of<T>(other.release()))
    {
    }

    ~ref()
    {
        arn_clear(&object_);
    }

    ref &operator=(const ref &other) noexcept
    {
        arn_set(&object_, other.object_);
        return *this;
    }

    /* It may close a cycle, of which the collector is to know. */
    ref &operator=(ref &&other) noexcept
    {
        arn_move(&object_, other.release());
        return *this;
    }

    ref &operator=(std::nullptr_t) noexcept
    {
        arn_clear(&object_);
        return *this;
    }

    void reset() noexcept
    {
        arn_clear(&object_);
    }

    /* The reference is the caller's, and this one null. */
    T *release() noexcept
    {
        return std::exchange(object_, nullptr);
    }

    T *get() const noexcept
    {
        return object_;
    }

    T &operator*() const noexcept
    {
        return *object_;
    }

    T *operator->() const noexcept
    {
        return object_;
    }

    explicit operator bool() const noexcept
    {
        return object_ != nullptr;
    }

  private:
    T *object_ = nullptr;
};

template <typename T, typename U> bool operator==(const ref<T> &left, const ref<U> &right) noexcept
{
    return left.get() == right.get();
}

template <typename T, typename U> bool operator!=(const ref<T> &left, const ref<U> &right) noexcept
{
    return left.get() != right.get();
}

template <typename T> bool operator==(const ref<T> &left, std::nullptr_t) noexcept
{
    return left.get() == nullptr;
}

template <typename T> bool operator!=(const ref<T> &left, std::nullptr_t) noexcept
{
    return left.get() != nullptr;
}

template <typename T> bool operator<(const ref<T> &left, const ref<T> &right) noexcept
{
    return std::less<T *>()(left.get(), right.get());
}

namespace detail
{

[[noreturn]] inline void no_memory()
{
#ifdef __cpp_exceptions
    throw std::bad_alloc();
#else
    std::abort();
#endif
}

/* Objects whose constructors threw, until the library releases them, which is at once, unless this thread
 * is in the middle of a release: linked through their memory. */
inline thread_local void *unmade = nullptr;

inline void **find_unmade(const void *object) noexcept
{
    void **link = &unmade;
    while (*link != nullptr && *link != object)
        link = static_cast<void **>(*link);
    return link;
}

template <typename T, typename = void> struct has_finalize : std::false_type {
};
template <typename T>
struct has_finalize<T, std::void_t<decltype(description<T>::finalize(std::declval<T &>()))>>
    : std::true_type {
};

template <typename T> struct functions {
    static void traverse(void *object, arn_visit *visit, void *context) noexcept
    {
        description<T>::each(*static_cast<T *>(object), [=](auto &reference) {
            if (reference != nullptr)
                visit(reference.get(), context);
        });
    }

    static void clear(void *object) noexcept
    {
        if (void **link = find_unmade(object); *link != nullptr) {
            *link = *static_cast<void **>(object);
            return;
        }
        description<T>::each(*static_cast<T *>(object), [](auto &reference) { reference.reset(); });
        static_cast<T *>(object)->~T();
    }

    static void finalize(void *object) noexcept
    {
        if constexpr (has_finalize<T>::value) {
            if (*find_unmade(object) == nullptr)
                description<T>::finalize(*static_cast<T *>(object));
        }
    }
};

/* Nothing to look at, and nothing to be done at the end. */
template <typename T> constexpr bool is_leaf()
{
    return !description<T>::any && std::is_trivially_destructible_v<T>;
}

template <typename T> arn_type *add()
{
    arn_type_info info = {};
    info.name = description<T>::name;
    info.bytes = sizeof(T);
    info.alignment = alignof(T);
    info.shape = is_leaf<T>() ? ARN_LEAF : ARN_CUSTOM;
    if (!is_leaf<T>()) {
        info.traverse = functions<T>::traverse;
        info.clear = functions<T>::clear;
    }
    if (has_finalize<T>::value)
        info.finalize = functions<T>::finalize;
    info.shared = description<T>::shared;
    arn_type *type = arn_type_register(&info);
    if (type == nullptr)
        no_memory();
    return type;
}

/* Of an object whose constructor runs. */
struct birth {
    void *object;

    ~birth()
    {
        if (object == nullptr)
            return;
        *static_cast<void **>(object) = unmade;
        unmade = object;
        arn_decref(object);
    }
};

} // namespace detail

/* Of the class's objects; registered by the first call. */
template <typename T> arn_type *type_of()
{
    static_assert(alignof(T) <= 4096, "aligned beyond 4,096");
    static arn_type *const type = detail::add<T>();
    return type;
}

/* A new object. No memory: std::bad_alloc; without exceptions, abort(). */
template <typename T, typename... Arguments> ref<T> make(Arguments &&...arguments)
{
    detail::birth birth = {arn_new(type_of<T>())};
    void *object = birth.object;
    if (object == nullptr)
        detail::no_memory();
    if constexpr (!detail::is_leaf<T>())
        arn_untrack(object);
    if constexpr (std::is_constructible_v<T, Arguments...>)
        ::new (object) T(std::forward<Arguments>(arguments)...);
    else
        ::new (object) T{std::forward<Arguments>(arguments)...};
    birth.object = nullptr;
    if constexpr (description<T>::any)
        arn_track(object);
    return ref<T>::adopt(static_cast<T *>(object));
}

/* A reference that does not keep the object alive, or null. */
template <typename T> class weak
{
  public:
    weak() noexcept = default;

    /* No memory: as make. */
    weak(const ref<T> &reference)
    {
        if (reference == nullptr)
            return;
        weak_ = arn_weak_new(reference.get(), nullptr, nullptr);
        if (weak_ == nullptr)
            detail::no_memory();
    }

    weak(const weak &other) : weak(other.lock())
    {
    }

    weak(weak &&other) noexcept : weak_(std::exchange(other.weak_, nullptr))
    {
    }

    ~weak()
    {
        arn_weak_release(weak_);
    }

    weak &operator=(weak other) noexcept
    {
        std::swap(weak_, other.weak_);
        return *this;
    }

    /* The object; null if it is gone. */
    ref<T> lock() const noexcept
    {
        return ref<T>::adopt(weak_ == nullptr ? nullptr : static_cast<T *>(arn_weak_get(weak_)));
    }

  private:
    arn_weak *weak_ = nullptr;
};

} // namespace arenite

#endif
