#include "commands.hpp"
#include "option_checks.hpp"
#include "store_command.hpp"
#include "store_operations.hpp"
#include <fmt/format.h>

#include <memory>

namespace bzmq::cli {
namespace {

/// Whether the command line fits the operation; what is wrong where it does not.
std::string check(const CLI::App& command, const store_options& how, const store_operation& what) {
    const auto count = how.arguments.size();
    if (count < what.arguments_min || count > what.arguments_max
        || (what.name == "put" && count % 2 != 0)) {
        return fmt::format("expected: store NAME {} {}", what.name, what.arguments);
    }
    for (const auto* option : command.get_options()) {
        const auto& names = option->get_lnames();
        if (option->get_positional() || option->count() == 0 || option->get_group() == "Connection"
            || what.options.find(" --" + names.front() + " ") != std::string_view::npos) {
            continue;
        }
        return fmt::format("--{} is not for {}", names.front(), what.name);
    }
    if (how.prefix && (how.from || how.to)) {
        return "--prefix excludes --from and --to";
    }
    if (what.name == "put" && !how.revision.empty()) {
        const bool number = how.revision.find_first_not_of("0123456789") == std::string::npos
                            && how.revision.size() <= 19;
        if (!number) {
            return "put: --revision=N: expected a whole number";
        }
        if (count != 2) {
            return "put with --revision=N takes one key and one value";
        }
        if (how.atomic) {
            return "--revision excludes --atomic";
        }
    }
    return {};
}

exit_code run(const CLI::App& command, const store_options& how, const context& ctx) {
    const auto& what = *find_store_operation(how.operation);
    if (const auto wrong = check(command, how, what); !wrong.empty()) {
        return report(exit_code::usage, wrong);
    }
    const auto& name = what.name;
    if (name == "watch") {
        return run_store_watch(how, ctx);
    }
    if (name == "dump") {
        return run_store_dump(how, ctx);
    }
    if (name == "load") {
        return run_store_load(how, ctx);
    }
    if (name == "promote") {
        return run_store_promote(how, ctx);
    }
    if (name == "get" || name == "keys" || name == "size" || name == "info") {
        return run_store_reads(how, ctx);
    }
    return run_store_writes(how, ctx);
}

void add_positionals(CLI::App& command, store_options& how) {
    std::vector<std::string> names;
    for (const auto& each : store_operations()) {
        names.emplace_back(each.name);
    }
    command.add_option("NAME", how.store, "The store's name")->required()->type_name("");
    command.add_option("OPERATION", how.operation, "What to do; see below")
        ->required()
        ->type_name("")
        ->check(one_of(std::move(names)));
    command.add_option("ARGUMENT", how.arguments, "What the operation takes")->type_name("");
}

void add_choice(CLI::App& command, store_options& how) {
    command.add_option("--prefix", how.prefix, "Only keys that are strings and begin with TEXT")
        ->type_name("TEXT");
    command.add_option("--from", how.from, "Only KEY and those behind it")->type_name("KEY");
    command.add_option("--to", how.to, "Only keys before KEY")->type_name("KEY");
    command.add_option("--max", how.max, "At most N of them")
        ->type_name("N")
        ->check(whole_number());
}

void add_options(CLI::App& command, store_options& how) {
    add_format(command, how.format, "How values are written (text)");
    add_format(command, how.key_format, "How keys are written (text)", "--key-format");
    add_duration(command, "--expiry", how.expiry, "The entry goes that long after it was written");
    command.add_flag("--revision", how.revision,
                     "get: print revision and expiry behind the value; put: only where the entry "
                     "is of revision N still, 0 where there is none");
    command
        .add_option("--index", how.index,
                    "get: what stands under INDEX in a table or vector; whether a set has it")
        ->type_name("INDEX");
    add_choice(command, how);
    command.add_flag("--atomic", how.atomic, "put, erase: all of them or none");
    command.add_option("-n,--count", how.count, "watch: end after COUNT events")
        ->type_name("COUNT")
        ->check(whole_number(1));
    command.add_option("--batch", how.batch, "load: N entries at a time, all or none (1000)")
        ->type_name("N")
        ->check(whole_number(1));
}

std::string operation_list() {
    std::string out;
    for (const auto& each : store_operations()) {
        const auto head = fmt::format("{} {}", each.name, each.arguments);
        out += fmt::format("\n  {:<26}{}", head, each.meaning);
    }
    return out;
}

}  // namespace

void add_store(CLI::App& app, context& ctx) {
    auto how = std::make_shared<store_options>();
    auto* command =
        app.add_subcommand("store", "Read, write and watch a key-value store of the overlay");
    add_positionals(*command, *how);
    add_options(*command, *how);
    command->footer(
        "First copies the whole store, as there are no light clients yet: for many keys of a large "
        "store rather use one command than many. Writes return when the master has done them. What "
        "is changed in place prints the new value; put, erase and clear the revision of what they "
        "did.\n\nOperations:"
        + operation_list());
    add_common(*command, ctx.common);
    command->callback([how, command, &ctx] {
        ctx.run = [how, command, &ctx] { return run(*command, *how, ctx); };
    });
}

}  // namespace bzmq::cli
