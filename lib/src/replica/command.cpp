#include "replica/command.hpp"

#include <algorithm>
#include <bit>

#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"

namespace bzmq::replica {
namespace {

constexpr std::uint8_t flag_expiry = 1;

bool has_key(operation what) { return what != operation::clear && what != operation::batch; }
bool has_value(operation what) {
    return what < operation::pop;  // All up to push.
}

void put_sized(byte_writer& to, std::span<const std::byte> bytes) {
    to.varint(bytes.size());
    to.bytes(bytes);
}

std::string_view text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

// -- Bytes ----------------------------------------------------------------------------------------

void put_command(std::vector<std::byte>& out, const command& what) {
    byte_writer to{out};
    to.u8(static_cast<std::uint8_t>(what.what));
    if (what.what == operation::batch) {
        to.bytes(what.parts);
        return;
    }
    if (what.what == operation::clear) {
        return;
    }
    to.u8(what.expiry ? flag_expiry : 0);
    if (what.expiry) {
        to.fixed<std::int64_t>(what.expiry->count());
    }
    put_sized(to, what.key);
    if (what.what == operation::compare_and_put) {
        to.varint(what.revision);
    }
    if (what.what == operation::insert_pair) {
        put_sized(to, what.index);
    }
    if (has_value(what.what)) {
        put_sized(to, what.value);
    }
}

std::optional<command> read_command(std::span<const std::byte> bytes) noexcept {
    byte_reader in{bytes};
    command out;
    out.what = static_cast<operation>(in.u8());
    if (in.failed() || out.what < operation::put || out.what > operation::batch) {
        return std::nullopt;
    }
    if (out.what == operation::batch) {
        out.parts = in.bytes(in.remaining());
        return out;
    }
    if (has_key(out.what)) {
        const auto flags = in.u8();
        if (flags > flag_expiry) {
            return std::nullopt;
        }
        if (flags == flag_expiry) {
            out.expiry = timespan{in.fixed<std::int64_t>()};
        }
        out.key = in.bytes(in.varint_up_to(key_bytes_max));
        if (out.what == operation::compare_and_put) {
            out.revision = in.varint();
        }
        if (out.what == operation::insert_pair) {
            out.index = in.bytes(in.varint_up_to(value_bytes_max));
        }
        if (has_value(out.what)) {
            out.value = in.bytes(in.varint_up_to(value_bytes_max));
        }
    }
    if (in.failed() || !in.done() || (has_key(out.what) && out.key.empty())
        || (has_value(out.what) && out.value.empty())) {
        return std::nullopt;
    }
    return out;
}

bool valid_command(std::span<const std::byte> bytes) {
    const auto what = read_command(bytes);
    if (!what) {
        return false;
    }
    if (what->what == operation::batch) {
        byte_reader in{what->parts};
        while (!in.done()) {
            const auto part = in.bytes(in.varint_up_to(entry_bytes_max));
            if (in.failed() || part.empty()
                || static_cast<operation>(part.front()) == operation::batch
                || !valid_command(part)) {
                return false;
            }
        }
        return !in.failed();
    }
    return (!has_key(what->what) || decode_ordered(what->key))
           && (!has_value(what->what) || decode(what->value))
           && (what->what != operation::insert_pair || decode(what->index));
}

// -- Views ----------------------------------------------------------------------------------------

const item* overlay_view::find(std::span<const std::byte> key, std::uint64_t hash) const {
    if (const auto at = pending_.find(text(key)); at != pending_.end()) {
        return at->second.value.get();
    }
    return cleared_at_ != 0 ? nullptr : below_.find(key, hash);
}

void overlay_view::add(const effect& what, sequence at) {
    switch (what.kind) {
        case change_kind::clear:
            pending_.clear();
            cleared_at_ = at;
            break;
        case change_kind::put:
        case change_kind::put_expiring:
            pending_[std::string{text(what.after->key())}] = {what.after, at};
            break;
        default:
            pending_[std::string{text(what.before->key())}] = {{}, at};
    }
}

void overlay_view::settle(const effect& what, sequence at) {
    if (what.kind == change_kind::clear) {
        if (cleared_at_ == at) {
            cleared_at_ = 0;
        }
        return;
    }
    const auto& about = what.after ? what.after : what.before;
    const auto found = pending_.find(text(about->key()));
    if (found != pending_.end() && found->second.at == at) {
        pending_.erase(found);
    }
}

// -- Evaluation -----------------------------------------------------------------------------------

namespace {

/// What becomes of a value.
using outcome = tl::expected<data, ec>;

tl::unexpected<ec> no(ec why) { return tl::unexpected<ec>{why}; }

template <class T, class U>
outcome sum(T a, U b, bool minus) {
    T out{};
    const bool over = minus ? __builtin_sub_overflow(a, b, &out) : __builtin_add_overflow(a, b, &out);
    return over ? outcome{no(ec::invalid_data)} : outcome{data{out}};
}

/// `value` plus or minus `amount`.
outcome moved(const data& value, const data& amount, bool minus) {
    if (const auto* a = get_if<count>(&value)) {
        if (const auto* b = get_if<count>(&amount)) {
            return sum(*a, *b, minus);
        }
        if (const auto* b = get_if<integer>(&amount)) {
            return sum(*a, *b, minus);
        }
    } else if (const auto* i = get_if<integer>(&value)) {
        if (const auto* b = get_if<integer>(&amount)) {
            return sum(*i, *b, minus);
        }
        if (const auto* b = get_if<count>(&amount)) {
            return sum(*i, *b, minus);
        }
    } else if (const auto* r = get_if<real>(&value)) {
        if (const auto* b = get_if<real>(&amount)) {
            return data{minus ? *r - *b : *r + *b};
        }
    } else if (const auto* span = get_if<timespan>(&value)) {
        if (const auto* b = get_if<timespan>(&amount)) {
            return sum(span->count(), b->count(), minus).map([](const data& sum_of) {
                return data{timespan{get<integer>(sum_of)}};
            });
        }
    } else if (const auto* when = get_if<timestamp>(&value)) {
        if (const auto* b = get_if<timespan>(&amount)) {
            return sum(when->time_since_epoch().count(), b->count(), minus)
                .map([](const data& sum_of) {
                    return data{timestamp{timespan{get<integer>(sum_of)}}};
                });
        }
    }
    return no(ec::type_clash);
}

/// What an amount is added to where there is nothing yet.
outcome zero_for(const data& amount) {
    switch (amount.get_type()) {
        case data_type::count:
            return data{count{0}};
        case data_type::integer:
            return data{integer{0}};
        case data_type::real:
            return data{0.0};
        case data_type::timespan:
            return data{timespan{0}};
        default:
            return no(ec::type_clash);
    }
}

outcome removed(data value, const data& index) {
    if (auto* items = get_if<set>(&value)) {
        items->erase(index);
        return value;
    }
    if (auto* pairs = get_if<bzmq::table>(&value)) {
        pairs->erase(index);
        return value;
    }
    if (auto* list = get_if<vector>(&value)) {
        std::uint64_t position = 0;
        if (const auto* as_count = get_if<count>(&index)) {
            position = *as_count;
        } else if (const auto* as_integer = get_if<integer>(&index); as_integer && *as_integer >= 0) {
            position = static_cast<std::uint64_t>(*as_integer);
        } else {
            return no(ec::type_clash);
        }
        if (position >= list->size()) {
            return no(ec::invalid_data);
        }
        list->erase(list->begin() + static_cast<std::ptrdiff_t>(position));
        return value;
    }
    return no(ec::type_clash);
}

template <class T, class F>
outcome within(std::optional<data> value, F&& change) {
    auto holder = value ? std::move(*value) : data{T{}};
    auto* inner = get_if<T>(&holder);
    if (inner == nullptr) {
        return no(ec::type_clash);
    }
    change(*inner);
    return holder;
}

/// The value after a command that makes a new one of the old.
outcome reshaped(const command& what, std::optional<data> old, data operand) {
    switch (what.what) {
        case operation::add:
        case operation::subtract: {
            const bool minus = what.what == operation::subtract;
            if (!old && minus) {
                return no(ec::no_such_key);
            }
            const auto base = old ? outcome{std::move(*old)} : zero_for(operand);
            return base ? moved(*base, operand, minus) : base;
        }
        case operation::append: {
            const auto* more = get_if<std::string>(&operand);
            return more == nullptr ? outcome{no(ec::type_clash)}
                                   : within<std::string>(std::move(old),
                                                         [&](auto& to) { to += *more; });
        }
        case operation::insert:
            return within<set>(std::move(old), [&](auto& to) { to.insert(std::move(operand)); });
        case operation::insert_pair: {
            auto index = decode(what.index);
            return !index ? outcome{no(ec::invalid_data)}
                          : within<bzmq::table>(std::move(old), [&](auto& to) {
                                to.insert_or_assign(std::move(*index), std::move(operand));
                            });
        }
        case operation::push:
            return within<vector>(std::move(old),
                                  [&](auto& to) { to.push_back(std::move(operand)); });
        case operation::remove:
            return old ? removed(std::move(*old), operand) : outcome{no(ec::no_such_key)};
        case operation::pop: {
            auto* list = old ? get_if<vector>(&*old) : nullptr;
            if (list == nullptr) {
                return no(old ? ec::type_clash : ec::no_such_key);
            }
            if (list->empty()) {
                return no(ec::invalid_data);
            }
            list->pop_back();
            return std::move(*old);
        }
        default:
            return no(ec::invalid_data);
    }
}

/// The state below with the effects of a batch so far: an index over them, in one allocation.
class batch_view final : public state_view {
  public:
    batch_view(const state_view& below, const std::vector<effect>& effects, std::size_t expected)
        : below_(below), effects_(effects), slots_(std::bit_ceil(2 * expected + 2)) {}

    [[nodiscard]] const item* find(std::span<const std::byte> key,
                                   std::uint64_t hash) const override {
        const auto index = slots_[locate(key, hash)];
        if (index != 0) {
            return effects_[index - 1].after.get();
        }
        return cleared_ ? nullptr : below_.find(key, hash);
    }
    /// Effect number `index` has come.
    void note(std::size_t index) {
        const auto& what = effects_[index];
        if (what.kind == change_kind::clear) {
            std::fill(slots_.begin(), slots_.end(), 0);
            used_ = 0;
            cleared_ = true;
            return;
        }
        if (2 * (used_ + 1) > slots_.size()) {
            grow();
        }
        const auto& about = what.after ? what.after : what.before;
        auto& at = slots_[locate(about->key(), about->hash())];
        used_ += at == 0 ? 1 : 0;
        at = index + 1;
    }

  private:
    [[nodiscard]] const item& about(std::size_t slot) const {
        const auto& what = effects_[slot - 1];
        return what.after ? *what.after : *what.before;
    }
    [[nodiscard]] std::size_t locate(std::span<const std::byte> key,
                                     std::uint64_t hash) const {
        const auto mask = slots_.size() - 1;
        auto at = static_cast<std::size_t>(hash) & mask;
        while (slots_[at] != 0
               && text(about(slots_[at]).key()) != text(key)) {
            at = (at + 1) & mask;
        }
        return at;
    }
    void grow() {
        std::vector<std::size_t> old(slots_.size() * 2);
        old.swap(slots_);
        for (const auto index : old) {
            if (index != 0) {
                slots_[locate(about(index).key(), about(index).hash())] = index;
            }
        }
    }

    const state_view& below_;
    const std::vector<effect>& effects_;
    std::vector<std::size_t> slots_;  // effect numbers plus 1; 0: free
    std::size_t used_ = 0;
    bool cleared_ = false;
};

ec evaluate_batch(const command& what, const state_view& state, timestamp wall, sequence at,
                  std::vector<effect>& out) {
    const auto begin = out.size();
    // A command takes a dozen bytes or more; what is guessed too low grows.
    batch_view view{state, out, std::min<std::size_t>(what.parts.size() / 64, 4'096)};
    byte_reader in{what.parts};
    while (!in.done()) {
        const auto part = read_command(in.bytes(in.varint_up_to(entry_bytes_max)));
        const auto before = out.size();
        const auto result = !part || part->what == operation::batch
                                ? ec::invalid_data
                                : evaluate(*part, view, wall, at, out);
        if (result != ec::none) {
            out.resize(begin);
            return result;
        }
        for (auto i = before; i < out.size(); ++i) {
            view.note(i);
        }
    }
    return ec::none;
}

}  // namespace

namespace {

timestamp saturated_sum(timestamp wall, timespan span) {
    std::int64_t sum_of = 0;
    if (__builtin_add_overflow(wall.time_since_epoch().count(), span.count(), &sum_of)) {
        return span.count() < 0 ? timestamp::min() : timestamp::max();
    }
    return timestamp{timespan{sum_of}};
}

}  // namespace

ec evaluate(const command& what, const state_view& state, timestamp wall, sequence at,
            std::vector<effect>& out) {
    if (what.what == operation::batch) {
        return evaluate_batch(what, state, wall, at, out);
    }
    if (what.what == operation::clear) {
        out.push_back({change_kind::clear, {}, {}});
        return ec::none;
    }
    const auto hash = table::hash_of(what.key);
    auto old = item_ptr::share(state.find(what.key, hash));
    const bool gone = old && old->expired(wall);
    const auto* present = gone ? nullptr : old.get();
    auto value = what.value;
    std::vector<std::byte> made;
    auto expiry = what.expiry ? saturated_sum(wall, *what.expiry) : no_expiry;
    switch (what.what) {
        case operation::erase:
            if (old) {
                out.push_back({gone ? change_kind::expire : change_kind::erase, std::move(old), {}});
            }
            return ec::none;
        case operation::put_unique:
            if (present != nullptr) {
                return ec::key_exists;
            }
            break;
        case operation::compare_and_put:
            if ((present != nullptr ? present->revision() : 0) != what.revision) {
                return ec::revision_mismatch;
            }
            break;
        case operation::put:
            break;
        default: {
            std::optional<data> held;
            if (present != nullptr) {
                auto decoded = decode(present->value());
                if (!decoded) {
                    return ec::invalid_data;
                }
                held = std::move(*decoded);
                if (!what.expiry) {
                    expiry = present->expiry();  // What is changed in place keeps its time.
                }
            }
            data operand;
            if (what.what != operation::pop) {
                auto decoded = decode(what.value);
                if (!decoded) {
                    return ec::invalid_data;
                }
                operand = std::move(*decoded);
            }
            const auto result = reshaped(what, std::move(held), std::move(operand));
            if (!result) {
                return result.error();
            }
            if (!encode(*result, made)) {
                return ec::message_too_big;
            }
            value = made;
        }
    }
    if (gone) {
        out.push_back({change_kind::expire, std::move(old), {}});
        old = {};
    }
    auto fresh = item_ptr::make(what.key, value, expiry, at);
    out.push_back({expiry == no_expiry ? change_kind::put : change_kind::put_expiring,
                   std::move(old), std::move(fresh)});
    return ec::none;
}

change change_of(const effect& what) noexcept {
    change out;
    out.kind = what.kind;
    if (what.after) {
        out.key = what.after->key();
        out.value = what.after->value();
        out.expiry = what.after->expiry();
    } else if (what.before) {
        out.key = what.before->key();
    }
    return out;
}

std::optional<effect> effect_of(const change& what, sequence at, const state_view* of) {
    effect out;
    out.kind = what.kind;
    if (what.kind > change_kind::clear) {
        return std::nullopt;
    }
    if (what.kind == change_kind::clear) {
        return out;
    }
    const auto hash = table::hash_of(what.key);
    if (of != nullptr) {
        out.before = item_ptr::share(of->find(what.key, hash));
    }
    if (what.kind <= change_kind::put_expiring) {
        out.after = item_ptr::make(what.key, what.value, what.expiry, at);
    } else if (of != nullptr && !out.before) {
        return std::nullopt;
    }
    return out;
}

void apply(const change& from, const effect& what, table& to) {
    if (what.kind == change_kind::clear) {
        to.clear();
    } else if (what.after) {
        to.put(what.after);
    } else {
        to.erase(from.key, table::hash_of(from.key));
    }
}

void apply(const effect& what, table& to) {
    if (what.kind == change_kind::clear) {
        to.clear();
    } else if (what.after) {
        to.put(what.after);
    } else {
        to.erase(what.before->key(), what.before->hash());
    }
}

}  // namespace bzmq::replica
