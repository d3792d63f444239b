#include "store_command.hpp"

#include "progress_bar.hpp"
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace bzmq::cli {
namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr timespan look_interval = 100ms;

/// What to say of a clone that has not become whole in time.
error not_synced(const bzmq::store& copy, const std::string& name, timespan limit) {
    const auto state = copy.info();
    if (!state) {
        return state.error();
    }
    if (state->master_at.is_nil()) {
        return {ec::no_such_master, fmt::format("nobody within reach has the master of store {}; "
                                                "looked for it for {}",
                                                name, to_string(limit))};
    }
    return {ec::request_timeout, fmt::format("store {} was not copied; {} entries came, and then "
                                             "nothing for {}",
                                             name, state->arrived_entries, to_string(limit))};
}

/// Waits as long as the copy grows.
expected<void> await_copy(bzmq::store& copy, const std::string& name, const context& ctx) {
    const auto limit = ctx.common.timeout_or_default();
    auto deadline = clock::now() + limit;
    std::size_t bytes = 0;
    progress_bar bar;
    for (;;) {
        const timespan left = deadline - clock::now();
        if (copy.await_sync(std::clamp(left, timespan{0}, look_interval))) {
            return {};
        }
        if (ctx.interrupt->raised()) {
            return fail(ec::cancelled);
        }
        const auto state = copy.info();
        if (state && state->arrived_bytes != bytes) {
            bytes = state->arrived_bytes;
            deadline = clock::now() + limit;
            bar.show("copying " + name, state->arrived_entries, state->arriving_entries,
                     state->arrived_entries);
        }
        if (clock::now() >= deadline) {
            bar.clear();
            return tl::unexpected{not_synced(copy, name, limit)};
        }
    }
}

}  // namespace

expected<store_session> open_store(const store_options& how, const context& ctx) {
    auto node = open_endpoint(ctx, "bzmq-cli store");
    if (!node) {
        return tl::unexpected{node.error()};
    }
    clone_options options;
    options.resync_interval = 1s;
    options.mutation_buffer_interval = std::max<timespan>(ctx.common.timeout_or_default(), 1ms);
    auto copy = node->attach_clone(how.store, options);
    if (!copy) {
        return tl::unexpected{copy.error()};
    }
    expected<void> synced;
    {
        const interrupt::handler stop{*ctx.interrupt, [&node] { node->shutdown(); }};
        synced = await_copy(*copy, how.store, ctx);
    }
    if (!synced) {
        return tl::unexpected{synced.error()};
    }
    return store_session{std::move(*node), std::move(*copy)};
}

// -- Ranges ---------------------------------------------------------------------------------------

expected<key_range> key_range::of(const store_options& how) {
    key_range out;
    out.prefix_ = how.prefix;
    for (const auto& [text, bound] : {std::pair{&how.from, &out.from_}, {&how.to, &out.to_}}) {
        if (*text) {
            auto key = read_value(**text, how.key_format);
            if (!key) {
                return tl::unexpected{key.error()};
            }
            *bound = std::move(*key);
        }
    }
    return out;
}

expected<store_entries> key_range::read(const store& from, std::size_t max) const {
    return prefix_ ? from.prefix(*prefix_, max) : from.range(from_, to_, max);
}

bool key_range::has(const data& key) const {
    if (prefix_) {
        const auto* text = get_if<std::string>(&key);
        return text != nullptr && text->starts_with(*prefix_);
    }
    return !(from_ && key < *from_) && !(to_ && key >= *to_);
}

// -- Reading --------------------------------------------------------------------------------------

namespace {

expected<data> read_field(const nlohmann::json& from, const char* name) {
    auto read = read_value(from[name].dump(), value_format::json);
    if (!read) {
        return fail(read.error().code(), fmt::format("{}: {}", name, read.error().message()));
    }
    return read;
}

}  // namespace

expected<loaded_entry> read_dump_line(std::string_view line) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("key") || !json.contains("value")) {
        return fail(ec::invalid_json, "expected an object with key and value");
    }
    auto key = read_field(json, "key");
    auto value = key ? read_field(json, "value") : key;
    if (!value) {
        return tl::unexpected{value.error()};
    }
    loaded_entry out{std::move(*key), std::move(*value), {}};
    if (json.contains("expiry")) {
        const auto text = json["expiry"].is_string() ? json["expiry"].get<std::string>() : "";
        const auto at = parse_data(text);
        const auto* moment = at ? get_if<timestamp>(&*at) : nullptr;
        if (moment == nullptr) {
            return fail(ec::invalid_json, "expiry: expected a point in time");
        }
        out.expiry = *moment - std::chrono::system_clock::now();
    }
    return out;
}

expected<data> read_key_line(std::string_view line) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("key")) {
        return fail(ec::invalid_json, "expected an object with key");
    }
    return read_field(json, "key");
}

// -- Printing -------------------------------------------------------------------------------------

void append_expiry(std::string& line, const std::optional<timestamp>& expiry) {
    if (expiry) {
        line += ",\"expiry\":\"" + to_string(*expiry) + '"';
    }
}

void append_dump_line(std::string& line, const data& key, const store_entry& what) {
    line += "{\"key\":" + to_json(key) + ",\"value\":" + to_json(what.value);
    fmt::format_to(std::back_inserter(line), ",\"revision\":{}", what.revision);
    append_expiry(line, what.expiry);
    line += '}';
}

void store_printer::key(std::string& line, const data& what) const {
    if (json_) {
        line += "\"key\":" + to_json(what);
    } else {
        append_value(line, what, how_.key_format);
    }
}

void store_printer::entry(const data& key, const store_entry& what, bool with_key) {
    auto& line = out_.buffer();
    if (json_) {
        append_dump_line(line, key, what);
    } else {
        if (with_key) {
            append_value(line, key, how_.key_format);
            line += '\t';
        }
        append_value(line, what.value, how_.format);
        if (!how_.revision.empty()) {
            fmt::format_to(std::back_inserter(line), "\t{}\t{}", what.revision,
                           what.expiry ? to_string(*what.expiry) : "-");
        }
    }
    out_.end_line();
}

void store_printer::result(const data& key, std::string_view field, std::string_view what,
                           bool with_key, std::uint64_t revision) {
    auto& line = out_.buffer();
    if (json_) {
        line += "{\"key\":" + to_json(key);
        if (!field.empty()) {
            fmt::format_to(std::back_inserter(line), ",\"{}\":{}", field, what);
        }
        fmt::format_to(std::back_inserter(line), ",\"revision\":{}}}", revision);
    } else {
        if (with_key) {
            append_value(line, key, how_.key_format);
            line += '\t';
        }
        line += what;
    }
    out_.end_line();
}

exit_code store_printer::failure(const data& key, const error& why) {
    if (json_) {
        auto& line = out_.buffer();
        line += "{\"key\":" + to_json(key) + ",\"error\":\"";
        line += to_string(why.code());
        line += "\"}";
        out_.end_line();
    }
    out_.flush();
    std::string name;
    append_text(name, key);
    return report(exit_code_of(why), fmt::format("{}: {}", name, to_string(why)));
}

}  // namespace bzmq::cli
