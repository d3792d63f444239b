#include "overlay_view.hpp"
#include "store_command.hpp"
#include <fmt/format.h>

#include <algorithm>

namespace bzmq::cli {
namespace {

expected<std::vector<data>> read_keys(const store_options& how) {
    std::vector<data> out;
    for (const auto& text : how.arguments) {
        auto key = read_value(text, how.key_format);
        if (!key) {
            return tl::unexpected{key.error()};
        }
        out.push_back(std::move(*key));
    }
    return out;
}

expected<store_entry> read_entry(const store& from, const data& key,
                                 const std::optional<data>& index) {
    auto entry = from.get_entry(key);
    if (!entry || !index) {
        return entry;
    }
    auto part = from.get_index_from_value(key, *index);
    if (!part) {
        return tl::unexpected{part.error()};
    }
    entry->value = std::move(*part);
    return entry;
}

/// Every key has its line; the exit code is that of the first that failed.
exit_code print_values(const store& from, const std::vector<data>& keys,
                       const std::optional<data>& index, store_printer& out) {
    auto code = exit_code::ok;
    for (const auto& key : keys) {
        const auto entry = read_entry(from, key, index);
        if (entry) {
            out.entry(key, *entry, keys.size() > 1);
            continue;
        }
        const auto failed = out.failure(key, entry.error());
        code = code == exit_code::ok ? failed : code;
    }
    return code;
}

expected<void> print_keys(const store& from, const store_options& how, const key_range& range,
                          store_printer& out) {
    const auto all = range.read(from, how.max);
    if (!all) {
        return tl::unexpected{all.error()};
    }
    for (const auto& [key, entry] : *all) {
        auto& line = out.out().buffer();
        line += out.json() ? "{" : "";
        out.key(line, key);
        line += out.json() ? "}" : "";
        out.out().end_line();
    }
    return {};
}

expected<void> print_size(const store& from, store_printer& out) {
    const auto size = from.size();
    if (!size) {
        return tl::unexpected{size.error()};
    }
    out.out().line(out.json() ? fmt::format("{{\"size\":{}}}", *size) : fmt::format("{}", *size));
    return {};
}

expected<void> print_info(const store_session& from, store_printer& out) {
    const auto state = from.store.info();
    if (!state) {
        return tl::unexpected{state.error()};
    }
    const auto nodes = from.node.topology();
    const auto master = std::find_if(nodes.begin(), nodes.end(), [&](const topology_node& each) {
        return each.id == state->master_at;
    });
    const auto name = master == nodes.end() ? std::string{} : master->name;
    if (!out.json()) {
        out.out().line(fmt::format(
            "store {}\nmaster {} ({})\nentries {}\nbytes {}\nrevision {}\nepoch {}\nhash {:016x}",
            state->name, label(state->master_at, name), to_string(state->master_at), state->entries,
            state->bytes, state->revision, state->epoch, state->hash));
        return {};
    }
    std::string line = "{\"store\":";
    append_json_string(line, state->name);
    line += ",\"master\":\"" + to_string(state->master_at) + "\",\"master_name\":";
    append_json_string(line, name);
    line += fmt::format(
        ",\"entries\":{},\"bytes\":{},\"revision\":{},\"epoch\":{},\"hash\":\"{:016x}\"}}",
        state->entries, state->bytes, state->revision, state->epoch, state->hash);
    out.out().line(line);
    return {};
}

}  // namespace

exit_code run_store_reads(const store_options& how, const context& ctx) {
    const auto keys = read_keys(how);
    const auto range = key_range::of(how);
    std::optional<data> index;
    if (!keys || !range) {
        return report(keys ? range.error() : keys.error());
    }
    if (how.index) {
        const auto read = read_value(*how.index, how.format);
        if (!read) {
            return report(read.error());
        }
        index = *read;
    }
    auto session = open_store(how, ctx);
    if (!session) {
        return end_with(session.error(), ctx);
    }
    store_printer out{how, ctx};
    auto code = exit_code::ok;
    expected<void> done;
    if (how.operation == "get") {
        code = print_values(session->store, *keys, index, out);
    } else if (how.operation == "keys") {
        done = print_keys(session->store, how, *range, out);
    } else if (how.operation == "size") {
        done = print_size(session->store, out);
    } else {
        done = print_info(*session, out);
    }
    out.out().flush();
    if (!out.out().good()) {
        return exit_code::broken_pipe;
    }
    return done ? code : end_with(done.error(), ctx);
}

}  // namespace bzmq::cli
