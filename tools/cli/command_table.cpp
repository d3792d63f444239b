#include "command_table.hpp"

#include <algorithm>
#include <sstream>

namespace bzmq::cli {
namespace {

constexpr const char* policies = "drop_newest|drop_oldest|block|disconnect";

std::vector<std::string> words(const std::string& list) {
    std::vector<std::string> out;
    std::istringstream in{list};
    for (std::string word; std::getline(in, word, '|');) {
        out.push_back(word);
    }
    return out.size() > 1 ? out : std::vector<std::string>{};
}

option_entry describe_option(const CLI::Option& option) {
    option_entry out;
    for (const auto& name : option.get_snames()) {
        out.names.push_back("-" + name);
    }
    for (const auto& name : option.get_lnames()) {
        out.names.push_back("--" + name);
    }
    out.description = option.get_description();
    out.group = option.get_group();
    if (option.get_items_expected_min() > 0) {
        out.argument = option.get_type_name();
        out.choices = words(out.argument == "POLICY" ? policies : out.argument);
    } else if (option.get_lnames() == std::vector<std::string>{"wait"}
               || option.get_lnames() == std::vector<std::string>{"revision"}) {
        out.argument = "N";
        out.optional_value = true;
    }
    return out;
}

}  // namespace

std::vector<command_entry> command_table(const CLI::App& app) {
    std::vector<command_entry> out;
    for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        command_entry entry;
        entry.name = command->get_name();
        entry.description = command->get_description();
        entry.footer = command->get_footer();
        for (const auto* option : command->get_options()) {
            if (option->get_positional()) {
                entry.arguments.push_back({option->get_name(true, false), option->get_description(),
                                           option->get_required(),
                                           option->get_items_expected_max() > 1});
            } else {
                entry.options.push_back(describe_option(*option));
            }
        }
        // Help last, as nobody looks for it here.
        std::stable_partition(entry.options.begin(), entry.options.end(),
                              [](const option_entry& one) { return one.names.back() != "--help"; });
        out.push_back(std::move(entry));
    }
    return out;
}

}  // namespace bzmq::cli
