#include "bzmq/store_file.hpp"

#include "commands.hpp"
#include "option_checks.hpp"
#include "output.hpp"
#include "progress_bar.hpp"
#include <fmt/format.h>

#include <memory>

namespace bzmq::cli {
namespace {

struct options {
    std::string store;
    std::string action;
    std::string other;
    bool force = false;
};

std::string json_of(const options& how, const store_file::summary& what) {
    std::string out = "{\"action\":\"" + how.action + "\",\"store\":";
    append_json_string(out, to_string(what.store));
    return out
           + fmt::format(
               ",\"epoch\":{},\"last\":{},\"log_first\":{},\"values\":{},\"expiring\":{},"
               "\"writers\":{},\"bytes_used\":{},\"bytes_of_file\":{}}}",
               what.epoch, what.last, what.log_first, what.values, what.expiring, what.writers,
               what.bytes_used, what.bytes_of_file);
}

std::string text_of(const options& how, const store_file::summary& what) {
    // It takes pages as they are, and would not notice a damaged record.
    const auto* verdict = how.action == "compact" ? "compacted" : "sound";
    const auto log = what.log_first > what.last
                         ? std::string{"no log"}
                         : fmt::format("log from {} to {}", what.log_first, what.last);
    return fmt::format(
        "{}: {} values ({} with expiry), {}, epoch {}, {} writers, {} of {} bytes used, id {}",
        verdict, what.values, what.expiring, log, what.epoch, what.writers, what.bytes_used,
        what.bytes_of_file, to_string(what.store));
}

expected<store_file::summary> act(const options& how, const store_file::progress& told,
                                  line_output& out) {
    if (how.action == "check") {
        return store_file::check(how.store, told);
    }
    if (how.action == "compact") {
        return store_file::compact(how.store, told);
    }
    if (how.action == "backup") {
        return store_file::backup(how.store, how.other, told);
    }
    if (how.action == "restore") {
        return store_file::restore(how.store, how.other, how.force, told);
    }
    return store_file::dump(
        how.store,
        [&out](std::string_view line) {
            out.buffer() += line;
            out.end_line();
            return out.good();
        },
        told);
}

exit_code run(const options& how, const context& ctx) {
    const bool two_stores = how.action == "backup" || how.action == "restore";
    if (two_stores == how.other.empty()) {
        return report(exit_code::usage, two_stores ? how.action + " needs a second folder"
                                                   : how.action + " takes one folder");
    }
    if (how.force && how.action != "restore") {
        return report(exit_code::usage, "--force is for restore");
    }
    line_output out;
    progress_bar bar;
    const auto told = [&](std::string_view what, std::uint64_t done, std::uint64_t total) {
        bar.show(fmt::format("{} {}", how.action, what), done, total);
        return !ctx.interrupt->raised() && out.good();
    };
    const auto done = act(how, told, out);
    bar.clear();
    out.flush();
    if (!out.good()) {
        return exit_code::broken_pipe;
    }
    if (!done) {
        return end_with(done.error(), ctx);
    }
    if (how.action != "dump") {
        out.line(ctx.common.json ? json_of(how, *done) : text_of(how, *done));
    }
    return exit_code::ok;
}

}  // namespace

void add_store_file(CLI::App& app, context& ctx) {
    auto how = std::make_shared<options>();
    auto* command = app.add_subcommand("store-file",
                                       "Check, dump, compact, back up or restore a store's folder");
    command->add_option("STORE", how->store, "The store's folder")->required()->type_name("");
    command
        ->add_option("ACTION", how->action,
                     "check: read everything; dump: the values as JSON lines; compact: drop unused "
                     "pages; backup: copy to OTHER; restore: copy from OTHER")
        ->required()
        ->type_name("")
        ->check(one_of({"check", "dump", "compact", "backup", "restore"}));
    command->add_option("OTHER", how->other, "The second folder, for backup and restore")
        ->type_name("");
    command->add_flag("--force", how->force, "restore: overwrite a store that is there");
    command->add_flag("--json", ctx.common.json, "Print one JSON object; dump always prints JSON");
    command->footer(
        "check, dump and backup work beside a running master; compact and restore need the store "
        "for themselves. A restored store gets a new id: clones and standbys that have a "
        "copy of the former one keep it and go stale, until their node is started again with "
        "--follow-new-store.");
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run(*how, ctx); }; });
}

}  // namespace bzmq::cli
