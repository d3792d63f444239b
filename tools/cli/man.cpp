#include "command_table.hpp"
#include "commands.hpp"
#include "output.hpp"
#include <fmt/format.h>

#include <algorithm>
#include <sstream>

namespace bzmq::cli {
namespace {

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\') {
            out += "\\e";
        } else if (c == '-') {
            out += "\\-";
        } else if ((c == '.' || c == '\'') && out.empty()) {
            out += "\\&";
            out += c;
        } else {
            out += c;
        }
    }
    return out;
}

std::string heading(const option_entry& option) {
    std::string out;
    for (const auto& name : option.names) {
        out += (out.empty() ? "\\fB" : ", \\fB") + escaped(name) + "\\fR";
    }
    if (option.optional_value) {
        out += "[=\\fI" + option.argument + "\\fR]";
    } else if (!option.argument.empty()) {
        out += " \\fI" + escaped(option.argument) + "\\fR";
    }
    return out;
}

std::string item(const std::string& head, std::string_view text) {
    return ".TP\n" + head + '\n' + escaped(text) + '\n';
}

/// The options of the group "Connection" are told once for all commands.
bool shared(const option_entry& option) {
    return option.group == "Connection";
}

/// Paragraphs, and lists whose lines are indented, with two spaces between head and text.
std::string footer_section(const std::string& footer) {
    std::string out;
    std::istringstream in{footer};
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("  ")) {
            const auto end = std::min(line.find("  ", 2), line.size());
            const auto text = std::min(line.find_first_not_of(' ', end), line.size());
            out += item("\\fB" + escaped(line.substr(2, end - 2)) + "\\fR", line.substr(text));
        } else if (!line.empty()) {
            out += ".PP\n" + escaped(line) + '\n';
        }
    }
    return out;
}

std::string command_section(const command_entry& command) {
    std::string synopsis = "\\fB" + command.name + "\\fR [\\fIOPTION\\fR]...";
    std::string items;
    bool connects = false;
    bool waits = false;
    for (const auto& argument : command.arguments) {
        const auto shown = "\\fI" + argument.name + "\\fR" + (argument.many ? "..." : "");
        synopsis += argument.required ? " " + shown : " [" + shown + "]";
        items += item("\\fI" + argument.name + "\\fR", argument.description);
    }
    for (const auto& option : command.options) {
        connects = connects || shared(option);
        waits = waits || (shared(option) && option.names.back() == "--timeout");
        if (!shared(option) && option.names.back() != "--help") {
            items += item(heading(option), option.description);
        }
    }
    auto out = fmt::format(".SS {}\n.PP\n{}.\n", synopsis, escaped(command.description));
    if (connects) {
        out += waits ? "Also takes the connection options.\n"
                     : "Also takes the connection options, but for \\-\\-timeout and \\-\\-relay.\n";
    }
    out += items;
    return out + footer_section(command.footer);
}

std::string page(const std::vector<command_entry>& commands, std::string_view version) {
    std::string out = fmt::format(
        ".\\\" Made by \"bzmq-cli man\"; do not edit.\n"
        ".TH BZMQ\\-CLI 1 \"\" \"bzmq {}\" \"User Commands\"\n"
        ".SH NAME\nbzmq\\-cli \\- publish, subscribe and look around in a bzmq overlay\n"
        ".SH SYNOPSIS\n\\fBbzmq\\-cli\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]... "
        "[\\fIARGUMENT\\fR]...\n.br\n"
        "\\fBbzmq\\-cli\\fR [\\fICOMMAND\\fR] \\fB\\-\\-help\\fR\n.br\n"
        "\\fBbzmq\\-cli\\fR \\fB\\-\\-version\\fR\n.SH COMMANDS\n",
        version);
    for (const auto& command : commands) {
        out += command_section(command);
    }
    out += ".SH CONNECTION OPTIONS\n";
    const auto shared_count = [](const command_entry& command) {
        return std::count_if(command.options.begin(), command.options.end(), shared);
    };
    const auto connected = std::max_element(
        commands.begin(), commands.end(), [&](const auto& one, const auto& other) {
            return shared_count(one) < shared_count(other);
        });
    if (connected != commands.end()) {
        for (const auto& option : connected->options) {
            if (shared(option)) {
                out += item(heading(option), option.description);
            }
        }
    }
    out += item("\\fB\\-\\-bzmq.\\fIoption\\fB=\\fIVALUE\\fR",
                "Any option of an endpoint, as docs/configuration.md lists them; --help-bzmq "
                "prints the list. The options above win over it.");
    out += ".SH EXIT STATUS\n";
    for (const auto& entry : exit_codes()) {
        out += item(fmt::format("\\fB{}\\fR", static_cast<int>(entry.code)), entry.meaning);
    }
    out +=
        ".SH ENVIRONMENT\n"
        + item("\\fBBZMQ_\\fIOPTION\\fR", "Any option of an endpoint, e.g. BZMQ_PEER_TIMEOUT=5s.")
        + item("\\fBBZMQ_CONFIG_FILE\\fR", "A configuration file in TOML.");
    out += ".SH EXAMPLES\n.nf\n";
    for (const auto* line : {"bzmq-cli keygen relay", "bzmq-cli node --listen tcp://127.0.0.1:9999",
                             "bzmq-cli sub --peer tcp://127.0.0.1:9999 /zeek/ --json",
                             "bzmq-cli replay --peer tcp://127.0.0.1:9999 --wait dns.log.gz"}) {
        out += escaped(line) + '\n';
    }
    return out + ".fi\n";
}

}  // namespace

void add_man(CLI::App& app, context& ctx) {
    auto* command = app.add_subcommand("man", "Print this tool's manual page (man -l -)");
    command->callback([&app, &ctx] {
        ctx.run = [&app] {
            line_output out;
            out.buffer() = page(command_table(app), BZMQ_CLI_VERSION);
            out.flush();
            return out.good() ? exit_code::ok : exit_code::broken_pipe;
        };
    });
}

}  // namespace bzmq::cli
