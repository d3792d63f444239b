#include "transport/allow_list.hpp"

#include "bzmq/certificate.hpp"

#include "transport/files.hpp"

#include <utility>

namespace bzmq::transport {

expected<void> allow_list::read_keys(const std::string& path, key_set& into) {
    auto content = read_small_file(path);
    if (!content) {
        return tl::make_unexpected(content.error());
    }
    std::size_t number = 0;
    for (std::string_view rest = *content; !rest.empty();) {
        ++number;
        const auto end = rest.find('\n');
        const auto line = trimmed(rest.substr(0, end));
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
        if (line.empty() || line.front() == '#') {
            continue;  // No key starts with '#': the first digit of four bytes in Z85 is below it.
        }
        if (line == "metadata" || line == "curve") {
            auto loaded = load_certificate(path);
            if (!loaded) {
                return tl::make_unexpected(loaded.error());
            }
            into.insert(loaded->public_key);
            return {};
        }
        const auto key = line.substr(0, line.find_first_of(" \t"));
        const auto comment = trimmed(line.substr(key.size()));
        if (!is_key_text(key) || (!comment.empty() && comment.front() != '#')) {
            return fail(ec::invalid_certificate,
                        path + ":" + std::to_string(number) + ": not a key in Z85");
        }
        into.emplace(key);
    }
    return {};
}

expected<allow_list> allow_list::load(std::string path) {
    allow_list made{std::move(path)};
    if (auto done = made.reload_if_changed(); !done) {
        return tl::make_unexpected(done.error());
    }
    return made;
}

expected<bool> allow_list::reload_if_changed() {
    const auto files = watch_.look();
    if (!files) {
        return tl::make_unexpected(files.error());
    }
    if (!*files) {
        return false;
    }
    std::map<std::string, key_set> by_file;
    error problem;
    for (const auto& file : **files) {
        if (auto done = read_keys(file, by_file[file]); !done) {
            by_file[file] = by_file_[file];
            problem = problem ? problem : done.error();
        }
    }
    by_file_ = std::move(by_file);
    key_set keys;
    for (const auto& [file, of_file] : by_file_) {
        keys.insert(of_file.begin(), of_file.end());
    }
    const bool changed = keys != keys_;
    keys_ = std::move(keys);
    if (problem) {
        return tl::make_unexpected(problem);
    }
    watch_.settle();
    return changed;
}

}  // namespace bzmq::transport
