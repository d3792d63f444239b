#include "bzmq/configuration.hpp"

#include "command_table.hpp"
#include "commands.hpp"
#include "option_checks.hpp"
#include "output.hpp"
#include "store_operations.hpp"
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <sstream>

namespace bzmq::cli {
namespace {

bool takes_file(const option_entry& option) {
    return option.argument == "FILE" || option.argument == "PATH" || option.argument == "KEY";
}

/// What `store NAME` may be followed by.
std::string store_words() {
    std::string out;
    for (const auto& each : store_operations()) {
        out += (out.empty() ? "" : " ") + std::string{each.name};
    }
    return out;
}

/// The options that every endpoint has.
std::string library_options() {
    std::string out;
    std::istringstream in{configuration::help_text()};
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("  --bzmq.")) {
            out += (out.empty() ? "" : " ") + line.substr(2, line.find('=') - 2);
        }
    }
    return out;
}

/// The command's options and choices as words for bash.
std::string bash(const std::vector<command_entry>& commands) {
    std::string names;
    std::string cases;
    std::string values;
    for (const auto& command : commands) {
        names += (names.empty() ? "" : " ") + command.name;
        std::string options;
        for (const auto& option : command.options) {
            for (const auto& name : option.names) {
                options += (options.empty() ? "" : " ") + name;
                if (option.argument.empty() || option.optional_value) {
                    continue;
                }
                std::string reply = "return";
                if (!option.choices.empty()) {
                    reply = fmt::format("COMPREPLY=($(compgen -W \"{}\" -- \"$cur\")); return",
                                        fmt::join(option.choices, " "));
                } else if (takes_file(option)) {
                    reply = "COMPREPLY=($(compgen -f -- \"$cur\")); return";
                }
                values += fmt::format("        {}\\ {}) {} ;;\n", command.name, name, reply);
            }
        }
        cases += fmt::format("        {}) options=\"{}\" ;;\n", command.name, options);
    }
    return fmt::format(R"(# bash completion for bzmq-cli, made by "bzmq-cli completion bash".
_bzmq_cli() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}}
    local options
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{} --help --version" -- "$cur"))
        return
    fi
    case "$command $previous" in
{}    esac
    case "$command" in
{}        *) return ;;
    esac
    case "$cur" in
        --bzmq*) COMPREPLY=($(compgen -W "{}" -- "$cur")) ;;
        -*) COMPREPLY=($(compgen -W "$options" -- "$cur")) ;;
        *)
            case "$command" in
                completion) COMPREPLY=($(compgen -W "bash zsh" -- "$cur")) ;;
                cluster)
                    if [ "$COMP_CWORD" -eq 2 ]; then
                        COMPREPLY=($(compgen -W "check start stop status diag" -- "$cur"))
                    else
                        COMPREPLY=($(compgen -f -- "$cur"))
                    fi ;;
                store)
                    if [ "$COMP_CWORD" -eq 3 ]; then
                        COMPREPLY=($(compgen -W "{}" -- "$cur"))
                    elif [ "$COMP_CWORD" -gt 3 ]; then
                        COMPREPLY=($(compgen -f -- "$cur"))
                    fi ;;
                store-file)
                    if [ "$COMP_CWORD" -eq 3 ]; then
                        COMPREPLY=($(compgen -W "check dump compact backup restore" -- "$cur"))
                    else
                        COMPREPLY=($(compgen -f -- "$cur"))
                    fi ;;
                keygen|replay) COMPREPLY=($(compgen -f -- "$cur")) ;;
            esac ;;
    esac
}}
complete -o filenames -F _bzmq_cli bzmq-cli
)",
                       names, values, cases, library_options(), store_words());
}

std::string zsh_quoted(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\'') {
            out += "'\\''";
        } else if (c == '[' || c == ']' || c == ':' || c == '\\') {
            out += '\\';
            out += c;
        } else {
            out += c;
        }
    }
    return out;
}

std::string zsh_value(const option_entry& option) {
    if (option.argument.empty()) {
        return {};
    }
    std::string action;
    if (!option.choices.empty()) {
        action = fmt::format("({})", fmt::join(option.choices, " "));
    } else if (takes_file(option)) {
        action = "_files";
    }
    return fmt::format(":{}:{}", zsh_quoted(option.choices.empty() ? option.argument : "value"),
                       action);
}

std::string zsh(const std::vector<command_entry>& commands) {
    std::string names;
    std::string cases;
    for (const auto& command : commands) {
        names += fmt::format("        '{}:{}'\n", command.name, zsh_quoted(command.description));
        cases += fmt::format("        {})\n            _arguments \\\n", command.name);
        for (const auto& option : command.options) {
            for (const auto& name : option.names) {
                // "=-" takes the value in the same word only, "=" in the same or the next one.
                const bool is_long = name.starts_with("--");
                const std::string_view glue = option.argument.empty() ? ""
                                              : option.optional_value ? "=-"
                                              : is_long               ? "="
                                                                      : "";
                cases += fmt::format("                '*{}{}[{}]{}' \\\n", name, glue,
                                     zsh_quoted(option.description), zsh_value(option));
            }
        }
        std::string_view rest = "";
        if (command.name == "completion") {
            rest = "(bash zsh)";
        } else if (command.name == "replay" || command.name == "keygen") {
            rest = "_files";
        } else if (command.name == "store") {
            cases += fmt::format("                '2:operation:({})' \\\n", store_words());
            rest = "_files";
        } else if (command.name == "cluster") {
            cases += "                '1:action:(check start stop status diag)' \\\n";
            rest = "_files";
        } else if (command.name == "store-file") {
            cases += "                '2:action:(check dump compact backup restore)' \\\n";
            rest = "_files";
        }
        cases += fmt::format("                '*:argument:{}' ;;\n", rest);
    }
    return fmt::format(R"(#compdef bzmq-cli
# zsh completion for bzmq-cli, made by "bzmq-cli completion zsh".
_bzmq_cli() {{
    local -a commands
    commands=(
{}    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    local command=${{words[2]}}
    shift words
    (( CURRENT-- ))
    case "$command" in
{}    esac
}}
if [ "$funcstack[1]" = _bzmq_cli ]; then
    _bzmq_cli "$@"
else
    compdef _bzmq_cli bzmq-cli
fi
)",
                       names, cases);
}

}  // namespace

void add_completion(CLI::App& app, context& ctx) {
    auto shell = std::make_shared<std::string>();
    auto* command = app.add_subcommand("completion", "Print the completion script for a shell");
    command->add_option("SHELL", *shell, "bash or zsh")
        ->required()
        ->type_name("")
        ->check(one_of({"bash", "zsh"}));
    command->footer("For one session: source <(bzmq-cli completion bash)");
    command->callback([shell, &app, &ctx] {
        ctx.run = [shell, &app] {
            line_output out;
            out.buffer() = *shell == "zsh" ? zsh(command_table(app)) : bash(command_table(app));
            out.flush();
            return out.good() ? exit_code::ok : exit_code::broken_pipe;
        };
    });
}

}  // namespace bzmq::cli
