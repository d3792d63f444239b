#include "line_input.hpp"
#include "progress_bar.hpp"
#include "store_command.hpp"
#include "write_window.hpp"
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <functional>

namespace bzmq::cli {
namespace {

/// A change of one key that the command line asks for.
struct change {
    data key;
    data index;  ///< of insert into a table
    data value;  ///< also an amount, an element
    bool has_index = false;
    std::optional<timespan> expiry = {};  ///< that of a line in JSON goes before --expiry
};

/// Reads KEY [INDEX] [VALUE].
expected<change> read_change(const store_options& how, std::span<const std::string> arguments) {
    change out;
    out.value = count{1};
    auto key = read_value(arguments[0], how.key_format);
    if (!key) {
        return tl::unexpected{key.error()};
    }
    out.key = std::move(*key);
    out.has_index = arguments.size() > 2;
    if (how.operation == "append") {
        out.value = arguments[1];  // Text, whatever it looks like.
        return out;
    }
    if (arguments.size() > 1) {
        auto value = read_value(arguments.back(), how.format);
        if (!value) {
            return tl::unexpected{value.error()};
        }
        out.value = std::move(*value);
    }
    if (out.has_index) {
        auto index = read_value(arguments[1], how.format);
        if (!index) {
            return tl::unexpected{index.error()};
        }
        out.index = std::move(*index);
    }
    return out;
}

/// KEY VALUE pairs, keys, or one change.
expected<std::vector<change>> read_changes(const store_options& how) {
    std::vector<change> out;
    const std::span<const std::string> all{how.arguments};
    const auto step = how.operation == "erase" ? 1 : how.operation == "put" ? 2 : all.size();
    for (std::size_t at = 0; at < all.size(); at += step) {
        auto one = read_change(how, all.subspan(at, step));
        if (!one) {
            return tl::unexpected{one.error()};
        }
        out.push_back(std::move(*one));
    }
    return out;
}

store_write begin(store& to, const store_options& how, const change& what) {
    const auto& name = how.operation;
    const auto& key = what.key;
    if (name == "put") {
        const auto expiry = what.expiry ? what.expiry : how.expiry;
        return how.revision.empty()
                   ? to.put(key, what.value, expiry)
                   : to.compare_and_put(key, std::stoull(how.revision), what.value, expiry);
    }
    if (name == "put-unique") {
        return to.put_unique_nosync(key, what.value, how.expiry);
    }
    if (name == "incr") {
        return to.increment(key, what.value, how.expiry);
    }
    if (name == "decr") {
        return to.decrement(key, what.value, how.expiry);
    }
    if (name == "append") {
        return to.append(key, get<std::string>(what.value), how.expiry);
    }
    if (name == "insert") {
        return what.has_index ? to.insert_into(key, what.index, what.value, how.expiry)
                              : to.insert_into(key, what.value, how.expiry);
    }
    if (name == "remove") {
        return to.remove_from(key, what.value, how.expiry);
    }
    if (name == "push") {
        return to.push(key, what.value, how.expiry);
    }
    return name == "pop" ? to.pop(key, how.expiry) : to.erase(key);
}

/// Prints what became of a write.
exit_code print_outcome(const store_options& how, const change& what,
                        const expected<write_outcome>& outcome, bool with_key, store_printer& out) {
    const auto lost = !outcome && outcome.error() == ec::key_exists;
    if (how.operation == "put-unique" && (outcome || lost)) {
        const std::string_view won = out.json() ? (lost ? "false" : "true") : (lost ? "F" : "T");
        out.result(what.key, "created", won, with_key, lost ? 0 : outcome->revision);
        return lost ? exit_code::conflict : exit_code::ok;
    }
    if (!outcome) {
        return out.failure(what.key, outcome.error());
    }
    const bool whole = how.operation == "put" || how.operation == "erase";
    std::string text;
    if (out.json() && outcome->value) {
        text = to_json(*outcome->value);
    } else if (!whole && outcome->value) {
        append_value(text, *outcome->value, how.format);
    } else if (!out.json()) {
        text = fmt::format("{}", outcome->revision);
    }
    out.result(what.key, text.empty() ? "" : "value", text, with_key, outcome->revision);
    return exit_code::ok;
}

/// All at once, then their outcomes in order; the exit code is that of the first that failed.
exit_code write_each(store& to, const store_options& how, const std::vector<change>& changes,
                     timespan timeout, store_printer& out) {
    std::vector<store_write> writes;
    for (const auto& each : changes) {
        writes.push_back(begin(to, how, each));
    }
    auto code = exit_code::ok;
    for (std::size_t i = 0; i < changes.size(); ++i) {
        const auto one =
            print_outcome(how, changes[i], writes[i].wait(timeout), changes.size() > 1, out);
        code = code == exit_code::ok ? one : code;
    }
    return code;
}

void add_to_batch(store_batch& batch, const store_options& how, const change& what) {
    if (how.operation == "put") {
        batch.put(what.key, what.value, what.expiry ? what.expiry : how.expiry);
    } else {
        batch.erase(what.key);
    }
}

/// One line of standard input as `get --json`, `keys --json` and `dump` print it.
expected<change> read_json_line(const store_options& how, std::string_view line) {
    change out;
    if (how.operation == "erase") {
        auto key = read_key_line(line);
        if (!key) {
            return tl::unexpected{key.error()};
        }
        out.key = std::move(*key);
        return out;
    }
    auto entry = read_dump_line(line);
    if (!entry) {
        return tl::unexpected{entry.error()};
    }
    out.key = std::move(entry->key);
    out.value = std::move(entry->value);
    out.expiry = entry->expiry;
    return out;
}

/// An object with a key in it, which no text of a key or of key and value is.
bool is_json_line(std::string_view line) {
    if (!line.starts_with('{')) {
        return false;
    }
    const auto json = nlohmann::json::parse(line, nullptr, false);
    return json.is_object() && json.contains("key");
}

/// One line of standard input: KEY TAB VALUE, or a key to erase; with --json also an object.
expected<change> read_line(const store_options& how, std::string_view line, bool json) {
    if (json && is_json_line(line)) {
        return read_json_line(how, line);
    }
    if (how.operation == "erase") {
        return read_change(how, std::vector<std::string>{std::string{line}});
    }
    const auto tab = line.find('\t');
    if (tab == std::string_view::npos) {
        return fail(ec::invalid_data, "expected a key, a tab and a value");
    }
    return read_change(how, std::vector<std::string>{std::string{line.substr(0, tab)},
                                                     std::string{line.substr(tab + 1)}});
}

/// Writes what standard input says; on its own, or into `batch` where there is one.
expected<void> write_lines(store& to, const store_options& how, const context& ctx,
                           write_window& window, store_batch* batch) {
    line_input input{*ctx.interrupt};
    progress_bar bar;
    std::string_view line;
    std::uint64_t expired = 0;
    for (std::uint64_t number = 1;; ++number) {
        const auto more = input.next(line);
        if (!more) {
            return tl::unexpected{more.error()};
        }
        if (!*more) {
            if (expired > 0) {
                warn(fmt::format("{} entries had expired, and are left out", expired));
            }
            return window.drain();
        }
        auto where = fmt::format("standard input, line {}", number);
        const auto what = read_line(how, line, ctx.common.json);
        if (!what) {
            // What came before it is written, and counted.
            const auto before = window.drain();
            return before ? fail(what.error().code(), where + ": " + what.error().message())
                          : before;
        }
        if (what->expiry && *what->expiry <= timespan{0}) {
            ++expired;
        } else if (batch != nullptr) {
            add_to_batch(*batch, how, *what);
        } else if (auto sent = window.add(begin(to, how, *what), line.size(), 1, std::move(where));
                   !sent) {
            return sent;
        }
        bar.show("written", 0, 0, window.done());
    }
}

void print_count(store_printer& out, std::uint64_t written, std::uint64_t revision) {
    if (!out.json()) {
        out.out().line(fmt::format("{} written", written));
        return;
    }
    out.out().line(revision == 0
                       ? fmt::format("{{\"written\":{}}}", written)
                       : fmt::format("{{\"written\":{},\"revision\":{}}}", written, revision));
}

exit_code write_batch(store& to, const store_options& how, const std::vector<change>& changes,
                      const context& ctx, store_printer& out) {
    store_batch batch;
    for (const auto& each : changes) {
        add_to_batch(batch, how, each);
    }
    if (changes.empty()) {
        write_window none{timespan{0}};
        if (const auto read = write_lines(to, how, ctx, none, &batch); !read) {
            return end_with(read.error(), ctx);
        }
    }
    const auto outcome = to.apply(batch).wait(ctx.common.timeout_or_default());
    if (!outcome) {
        return end_with(outcome.error(), ctx);
    }
    print_count(out, batch.size(), outcome->revision);
    return exit_code::ok;
}

exit_code write_input(store& to, const store_options& how, const context& ctx, store_printer& out) {
    write_window window{ctx.common.timeout_or_default()};
    const auto done = write_lines(to, how, ctx, window, nullptr);
    print_count(out, window.done(), 0);
    return done ? exit_code::ok : end_with(done.error(), ctx);
}

exit_code clear(store& what, const context& ctx, store_printer& out) {
    const auto outcome = what.clear().wait(ctx.common.timeout_or_default());
    if (!outcome) {
        return end_with(outcome.error(), ctx);
    }
    out.out().line(out.json() ? fmt::format("{{\"revision\":{}}}", outcome->revision)
                              : fmt::format("{}", outcome->revision));
    return exit_code::ok;
}

exit_code write(store& to, const store_options& how, const std::vector<change>& changes,
                const context& ctx, store_printer& out) {
    if (how.operation == "clear") {
        return clear(to, ctx, out);
    }
    if (how.atomic) {
        return write_batch(to, how, changes, ctx, out);
    }
    return changes.empty() ? write_input(to, how, ctx, out)
                           : write_each(to, how, changes, ctx.common.timeout_or_default(), out);
}

}  // namespace

exit_code run_store_writes(const store_options& how, const context& ctx) {
    const auto changes = read_changes(how);
    if (!changes) {
        return report(changes.error());
    }
    auto session = open_store(how, ctx);
    if (!session) {
        return end_with(session.error(), ctx);
    }
    store_printer out{how, ctx};
    auto code = exit_code::ok;
    {
        const interrupt::handler stop{*ctx.interrupt, [&session] { session->node.shutdown(); }};
        code = write(session->store, how, *changes, ctx, out);
    }
    out.out().flush();
    if (ctx.interrupt->raised()) {
        return ctx.interrupt->code();
    }
    return out.out().good() ? code : exit_code::broken_pipe;
}

}  // namespace bzmq::cli
