#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

/// What the parser knows, flattened: the one source of the man page and the completions.
namespace bzmq::cli {

struct option_entry {
    std::vector<std::string> names;  ///< "-n", "--count"; empty for a positional argument
    std::string argument;            ///< what the value is called; empty for a switch
    std::string description;
    std::string group;
    bool optional_value = false;       ///< the value may follow behind a '=' only
    std::vector<std::string> choices;  ///< where the value is one of a few words
};

struct argument_entry {
    std::string name;
    std::string description;
    bool required = false;
    bool many = false;
};

struct command_entry {
    std::string name;
    std::string description;
    std::string footer;
    std::vector<argument_entry> arguments;
    std::vector<option_entry> options;
};

/// Every command but hidden ones, in the order of --help.
std::vector<command_entry> command_table(const CLI::App& app);

}  // namespace bzmq::cli
