#include "bzmq/topic.hpp"

namespace bzmq {

std::vector<std::string> topic::split() const {
    std::vector<std::string> parts;
    std::string_view rest{name_};
    while (!rest.empty()) {
        const auto length = std::min(rest.find(separator), rest.size());
        if (length > 0) {
            parts.emplace_back(rest.substr(0, length));
        }
        rest.remove_prefix(std::min(length + 1, rest.size()));
    }
    return parts;
}

topic topic::join(const std::vector<std::string>& parts) {
    std::string name;
    for (const auto& part : parts) {
        if (!name.empty()) {
            name += separator;
        }
        name += part;
    }
    return name;
}

topic topic::as_prefix() const {
    auto name = name_;
    while (!name.empty() && name.back() == separator) {
        name.pop_back();
    }
    return name + separator;
}

topic& topic::operator/=(std::string_view part) {
    while (!name_.empty() && name_.back() == separator) {
        name_.pop_back();
    }
    while (!part.empty() && part.front() == separator) {
        part.remove_prefix(1);
    }
    name_ += separator;
    name_ += part;
    return *this;
}

}  // namespace bzmq
