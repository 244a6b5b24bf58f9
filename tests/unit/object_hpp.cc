// object_hpp.cc - objects of C++ classes: counts, cycles, destructors, exceptions, threads.
#include <arenite/object.hpp>

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "sanitized.h"

using arenite::make;
using arenite::ref;
using arenite::weak;

namespace
{

int destroyed;

struct node {
    node() = default;
    explicit node(std::string with_text) : text(std::move(with_text))
    {
    }
    ~node()
    {
        destroyed++;
        seen_null = seen_null && left == nullptr && right == nullptr;
        for (auto &child : children)
            seen_null = seen_null && child == nullptr;
    }

    static bool seen_null;
    std::string text = "a text that is too long to be kept in the string itself";
    ref<node> left, right;
    std::vector<ref<node>> children;
};
bool node::seen_null = true;

struct point {
    long x, y;
};

struct base {
    base() = default;
    base(const base &) = delete;
    virtual ~base()
    {
        destroyed++;
    }
    virtual int number() const
    {
        return 1;
    }
    ref<base> other;
};

struct derived : base {
    int number() const override
    {
        return 2;
    }
    std::array<ref<derived>, 2> more;
};

// Its constructor throws, or has a collection look at it, half done.
struct picky {
    explicit picky(int mood) : first(make<node>())
    {
        if (mood == 1)
            arn_gc_collect(2);
        if (mood == 2)
            throw std::runtime_error("mood");
        second = make<node>();
    }
    ~picky()
    {
        destroyed += 100;
    }
    ref<node> first, second;
};

struct phoenix {
    static ref<phoenix> risen;
    static int finalized;
    ref<phoenix> self;
    std::string text = "whole";
};
ref<phoenix> phoenix::risen;
int phoenix::finalized;

struct common {
    common()
    {
        alive++;
    }
    ~common()
    {
        alive--;
    }
    static std::atomic<int> alive;
    ref<point> at;
};
std::atomic<int> common::alive;

struct alignas(256) aligned {
    char bytes[300] = {};
};

// It does not begin with a base.
struct second : point, base {
};

class secret
{
    ref<secret> self;
    friend struct arenite::description<secret>;

  public:
    void close(const ref<secret> &other)
    {
        self = other;
    }
};

} // namespace

namespace arenite
{
template <> struct description<node> : references<&node::left, &node::right, &node::children> {
    static constexpr const char *name = "node";
};
template <> struct description<point> : references<> {
    static constexpr const char *name = "point";
};
template <> struct description<derived> : references<&derived::other, &derived::more> {
    static constexpr const char *name = "derived";
};
template <> struct description<picky> : references<&picky::first, &picky::second> {
    static constexpr const char *name = "picky";
    static void finalize(picky &)
    {
        destroyed += 1000;
    }
};
template <> struct description<phoenix> : references<&phoenix::self> {
    static constexpr const char *name = "phoenix";
    static void finalize(phoenix &object)
    {
        phoenix::finalized++;
        EXPECT_EQ(object.text, "whole");
        phoenix::risen = ref<phoenix>(&object);
    }
};
template <> struct description<common> : references<> {
    static constexpr const char *name = "common";
    static constexpr bool shared = true;
};
template <> struct description<aligned> : references<> {
    static constexpr const char *name = "aligned";
};
template <> struct description<second> : references<&second::other> {
    static constexpr const char *name = "second";
};
template <> struct description<secret> : references<&secret::self> {
    static constexpr const char *name = "secret";
};
} // namespace arenite

namespace
{

size_t objects()
{
    struct arn_domain_stats stats;
    arn_domain_stats(nullptr, &stats);
    return stats.objects;
}

// Each test has a domain, in which nothing is left at the end.
class object_hpp : public testing::Test
{
  protected:
    void SetUp() override
    {
        domain_ = arn_domain_create();
        arn_domain_bind(domain_);
        arn_gc_disable();
        destroyed = 0;
    }
    void TearDown() override
    {
        arn_gc_collect(2);
        EXPECT_EQ(objects(), 0u);
        EXPECT_TRUE(node::seen_null);
        arn_domain_destroy(domain_);
    }

  private:
    arn_domain *domain_ = nullptr;
};

TEST_F(object_hpp, counts_copies_and_moves)
{
    ref<node> a = make<node>("a");
    EXPECT_EQ(a->text, "a");
    EXPECT_EQ((*a).text, "a");
    EXPECT_EQ(arn_refcount(a.get()), 1u);
    ref<node> b = a;
    EXPECT_EQ(arn_refcount(a.get()), 2u);
    EXPECT_TRUE(a == b);
    EXPECT_FALSE(a != b || a < b || a == nullptr || !a);
    ref<node> c = std::move(b);
    EXPECT_EQ(b, nullptr);
    EXPECT_EQ(arn_refcount(a.get()), 2u);
    node *raw = c.release();
    EXPECT_EQ(c, nullptr);
    EXPECT_EQ(arn_refcount(a.get()), 2u);
    c = ref<node>::adopt(raw);
    EXPECT_EQ(arn_refcount(a.get()), 2u);
    b = c;
    ref<node> &same = b;
    b = same;
    b = std::move(same);
    EXPECT_EQ(b, a);
    EXPECT_EQ(arn_refcount(a.get()), 3u);
    b = nullptr;
    c.reset();
    EXPECT_EQ(arn_refcount(a.get()), 1u);
    EXPECT_EQ(destroyed, 0);
    a = make<node>();
    EXPECT_EQ(destroyed, 1);
    a = nullptr;
    EXPECT_EQ(destroyed, 2);
    EXPECT_EQ(objects(), 0u);
}

TEST_F(object_hpp, releases_what_an_object_refers_to)
{
    ref<node> root = make<node>();
    root->left = make<node>();
    root->left->right = make<node>();
    for (int i = 0; i < 10; i++)
        root->children.push_back(make<node>());
    ref<node> kept = root->children[3];
    root = nullptr;
    EXPECT_EQ(destroyed, 12);
    EXPECT_EQ(arn_refcount(kept.get()), 1u);
}

TEST_F(object_hpp, releases_a_long_chain_on_a_small_stack)
{
    ref<node> list;
    for (int i = 0; i < 300000; i++) {
        ref<node> next = make<node>();
        next->left = std::move(list);
        list = std::move(next);
    }
    list = nullptr;
    EXPECT_EQ(destroyed, 300000);
}

TEST_F(object_hpp, finds_cycles_and_destroys_each_object_once)
{
    {
        ref<node> a = make<node>(), b = make<node>(), outside = make<node>();
        a->left = b;
        b->children = {a, b, outside};
        ref<node> kept = outside;
        outside = nullptr;
        a = b = nullptr;
        EXPECT_EQ(arn_gc_collect(2), 2);
        EXPECT_EQ(destroyed, 2);
        EXPECT_EQ(arn_refcount(kept.get()), 1u);
    }
    EXPECT_EQ(destroyed, 3);
    ref<secret> s = make<secret>();
    s->close(s);
    s = nullptr;
    EXPECT_EQ(arn_gc_collect(2), 1);
}

TEST_F(object_hpp, finds_cycles_of_itself_when_enough_objects_are_new)
{
    arn_gc_enable();
    for (int i = 0; i < 100000; i++) {
        ref<node> a = make<node>();
        a->children.push_back(make<node>());
        a->children[0]->left = a;
    }
    EXPECT_LE(objects(), 20000u);
    EXPECT_GE(destroyed, 180000);
}

TEST_F(object_hpp, refers_to_bases_that_objects_begin_with)
{
    ref<derived> d = make<derived>();
    ref<base> b = d;
    EXPECT_EQ(b->number(), 2);
    EXPECT_EQ(arn_refcount(d.get()), 2u);
    b = make<derived>();
    EXPECT_EQ(destroyed, 0);
    b = nullptr;
    EXPECT_EQ(destroyed, 1);
    d->more[1] = d;
    d->other = d;
    d = nullptr;
    EXPECT_EQ(arn_gc_collect(2), 1);
    EXPECT_EQ(destroyed, 2);
}

TEST_F(object_hpp, refuses_bases_that_objects_do_not_begin_with)
{
    ref<second> s = make<second>();
    EXPECT_EQ(ref<base>(s)->number(), 1);
    EXPECT_DEATH(ref<point>{s}, "");
}

TEST_F(object_hpp, has_weak_references)
{
    ref<node> a = make<node>();
    weak<node> w = a, copy = w, none;
    EXPECT_EQ(arn_refcount(a.get()), 1u);
    EXPECT_EQ(w.lock(), a);
    EXPECT_EQ(none.lock(), nullptr);
    weak<node> moved = std::move(w);
    EXPECT_EQ(w.lock(), nullptr);
    a->left = a;
    a = nullptr;
    EXPECT_NE(moved.lock(), nullptr);
    EXPECT_EQ(arn_gc_collect(2), 1);
    EXPECT_EQ(moved.lock(), nullptr);
    EXPECT_EQ(copy.lock(), nullptr);
    none = moved;
    a = make<node>();
    none = a;
    EXPECT_EQ(none.lock(), a);
}

TEST_F(object_hpp, whose_constructor_throws_is_released_and_not_destroyed)
{
    EXPECT_THROW(make<picky>(2), std::runtime_error);
    EXPECT_EQ(destroyed, 1); /* the node */
    EXPECT_EQ(objects(), 0u);
    EXPECT_NE(make<picky>(0), nullptr);
    EXPECT_EQ(destroyed, 1 + 1102);
}

// In the middle of a release, the object waits until that goes on.
struct thrower {
    ~thrower()
    {
        EXPECT_THROW(make<picky>(2), std::runtime_error);
        EXPECT_THROW(make<picky>(2), std::runtime_error);
    }
};

} // namespace

template <> struct arenite::description<thrower> : arenite::references<> {
    static constexpr const char *name = "thrower";
};

namespace
{

TEST_F(object_hpp, whose_constructor_throws_within_a_destructor_is_not_destroyed_either)
{
    make<thrower>();
    EXPECT_EQ(destroyed, 2);
    EXPECT_EQ(objects(), 0u);
    EXPECT_EQ(arenite::detail::unmade, nullptr);
}

TEST_F(object_hpp, under_construction_is_not_looked_at_by_the_collector)
{
    ref<picky> p = make<picky>(1);
    EXPECT_TRUE(arn_is_tracked(p.get()));
    EXPECT_EQ(arn_refcount(p->first.get()), 1u);
    EXPECT_EQ(arn_gc_collect(2), 0);
}

TEST_F(object_hpp, is_finalized_whole_and_may_live_on)
{
    ref<phoenix> a = make<phoenix>();
    a->self = a;
    a = nullptr;
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_EQ(phoenix::finalized, 1);
    ASSERT_NE(phoenix::risen, nullptr);
    EXPECT_EQ(phoenix::risen->text, "whole");
    phoenix::risen = nullptr;
    EXPECT_EQ(arn_gc_collect(2), 1);
    EXPECT_EQ(phoenix::finalized, 1);
}

TEST_F(object_hpp, may_be_plain_or_aligned)
{
    ref<point> p = make<point>(point{1, 2});
    EXPECT_EQ(p->y, 2);
    EXPECT_EQ(make<point>(3, 4)->x, 3);
    EXPECT_FALSE(arn_is_tracked(p.get()));
    EXPECT_STREQ(arn_type_name(arenite::type_of<point>()), "point");
    EXPECT_EQ(reinterpret_cast<uintptr_t>(make<aligned>().get()) % 256, 0u);
}

TEST_F(object_hpp, is_shared_between_threads)
{
    ref<common> c = make<common>();
    c->at = make<point>(1, 2);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([mine = c]() mutable {
            for (int j = 0; j < 10000; j++) {
                ref<common> copy = mine;
                weak<common> w = copy;
                if (j % 100 == 0)
                    copy = w.lock();
                EXPECT_EQ(copy->at->y, 2);
            }
            mine = nullptr;
        });
    }
    c = nullptr;
    for (std::thread &thread : threads)
        thread.join();
    arn_gc_collect(0);
    EXPECT_EQ(common::alive, 0);
}

} // namespace
