#include "sim/stores_load.hpp"

#include <fmt/format.h>

#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include "sim/random.hpp"

namespace bzmq::sim::stores {
namespace {

using namespace std::chrono_literals;
using replica::operation;

std::vector<std::byte> packed(const data& value) {
    std::vector<std::byte> out;
    if (!encode(value, out)) {
        out.clear();
    }
    return out;
}

}  // namespace

std::vector<std::byte> key_bytes(const data& key) {
    std::vector<std::byte> out;
    if (!encode_ordered(key, out)) {
        out.clear();
    }
    return out;
}

std::vector<std::byte> make_command(operation what, const data& key, const data& value,
                                    const data& index, std::optional<timespan> expiry,
                                    replica::sequence revision) {
    const auto k = key_bytes(key);
    const auto v = packed(value);
    const auto i = packed(index);
    std::vector<std::byte> out;
    replica::put_command(out, {what, k, v, i, revision, expiry, {}});
    return out;
}

std::vector<std::byte> make_batch(const std::vector<std::vector<std::byte>>& parts) {
    std::vector<std::byte> body;
    byte_writer to{body};
    for (const auto& each : parts) {
        to.varint(each.size());
        to.bytes(each);
    }
    replica::command whole;
    whole.what = operation::batch;
    whole.parts = body;
    std::vector<std::byte> out;
    replica::put_command(out, whole);
    return out;
}

void load::start(const load_options& options) {
    options_ = options;
    write_again(++generation_);
}

void load::write_again(std::uint64_t generation) {
    around_.after(between(random_, 1us, 2 * options_.gap), [this, generation] {
        if (generation != generation_) {
            return;
        }
        write_somewhere();
        write_again(generation);
    });
}

void load::write_somewhere() {
    std::vector<std::pair<slot_index, machine*>> masters;
    std::vector<std::pair<slot_index, machine*>> clones;
    for (slot_index at = 0; at < around_.size(); ++at) {
        for (const auto& [id, each] : around_.at(at).machines) {
            (each->master ? masters : clones).emplace_back(at, each.get());
        }
    }
    auto& from = clones.empty() || (!masters.empty() && chance(random_, options_.at_masters))
                     ? masters
                     : clones;
    if (from.empty()) {
        return;
    }
    const auto [at, what] = from[random_.below(from.size())];
    const auto id = what->id;
    auto commands = chance(random_, options_.bursts) ? between(random_, 2, options_.burst_commands)
                                                     : std::uint64_t{1};
    for (; commands > 0; --commands) {
        if (auto* still = around_.at(at).find(id)) {
            write(at, *still, counted_.contains(still->store));
        }
    }
}

void load::write(slot_index at, const machine& what, bool counted) {
    if (!around_.at(at).host->ready(what.id)) {
        return;
    }
    write_note note;
    note.store = what.store;
    note.slot = at;
    note.by = what.id;
    const bool marked = counted && random_.chance(2, 3);
    last_value_ = book_.writes() + 1;  // The ticket that it will have.
    const auto bytes = marked ? marked_command(note) : any_command(what, counted);
    const auto to = book_.submitting(std::move(note));
    if (around_.submit(at, what.id, to, bytes) != ec::none) {
        book_.refused(to);
    }
}

/// A command whose effects can be counted afterwards.
std::vector<std::byte> load::marked_command(write_note& note) {
    const data ticket{count{last_value_}};
    const auto push_to = [&](std::uint64_t number) {
        const data key{fmt::format("v{}", number % options_.tagged_keys)};
        note.tagged.push_back(key_bytes(key));
        return make_command(operation::push, key, ticket);
    };
    const auto add = [&] {
        const data key{fmt::format("n{}", random_.below(3))};
        note.counter = key_bytes(key);
        note.amount = between(random_, 1, 3);
        return make_command(operation::add, key, data{count{note.amount}});
    };
    const auto number = random_.below(options_.tagged_keys);
    switch (random_.below(4)) {
        case 0:
            return add();
        case 1:
            return make_batch({push_to(number), add(), push_to(number + 1)});
        default:
            return push_to(number);
    }
}

data load::any_value() {
    switch (random_.below(4)) {
        case 0:
            return std::string(random_.below(options_.value_bytes), 'x');
        case 1:
            return integer{-static_cast<integer>(random_.below(1'000))};
        default:
            return count{random_.next()};
    }
}

std::vector<std::byte> load::any_command(const machine& what, bool counted) {
    if (!counted && random_.chance(1, 150)) {
        return make_command(operation::clear, {});
    }
    if (random_.chance(1, 10)) {
        std::vector<std::vector<std::byte>> parts;
        for (auto more = random_.below(6); more > 0; --more) {
            parts.push_back(small_command(what));
        }
        return make_batch(parts);
    }
    return small_command(what);
}

std::vector<std::byte> load::small_command(const machine& what) {
    const auto number = random_.below(options_.keys);
    const auto key = [number](char kind) { return data{fmt::format("{}{}", kind, number)}; };
    const auto expiry = chance(random_, options_.expiries)
                            ? std::optional<timespan>{between(random_, 1ms, nanoseconds{3s})}
                            : std::nullopt;
    switch (random_.below(16)) {
        case 0:
            return make_command(operation::put_unique, key('k'), any_value(), {}, expiry);
        case 1: {
            const auto* held = what.values.find(key_bytes(key('k')));
            const auto revision = held != nullptr && random_.chance(3, 4) ? held->revision() : 0;
            return make_command(operation::compare_and_put, key('k'), any_value(), {}, expiry,
                                revision);
        }
        case 2:
            return make_command(operation::append, key('t'), std::string(random_.below(5), 'a'));
        case 3:
            return make_command(operation::insert, key('s'), count{random_.below(10)});
        case 4:
            return make_command(operation::insert_pair, key('p'), any_value(),
                                count{random_.below(10)});
        case 5:
            return make_command(operation::remove, key(random_.chance(1, 2) ? 's' : 'p'),
                                count{random_.below(10)});
        case 6:
            return make_command(operation::push, key('q'), count{random_.below(100)}, {}, expiry);
        case 7:
            return make_command(operation::pop, key('q'));
        case 8:
            return make_command(operation::add, key('m'), count{random_.below(5)});
        case 9:
            return make_command(operation::subtract, key('m'), count{random_.below(5)});
        case 10:
        case 11: {
            static constexpr char kinds[] = "kktspq";
            return make_command(operation::erase, key(kinds[random_.below(6)]));
        }
        default:
            return make_command(operation::put, key('k'), any_value(), {}, expiry);
    }
}

}  // namespace bzmq::sim::stores
