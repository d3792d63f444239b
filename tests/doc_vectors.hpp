#pragma once

#include <cstddef>
#include <fstream>
#include <map>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "source_dir.hpp"

/// The test vectors of a document.
namespace bzmq::testing {

/// The hex blocks by the names in their markers.
inline std::map<std::string, std::vector<std::byte>> read_vectors(
    const std::string& document = "protocol.md") {
    std::map<std::string, std::vector<std::byte>> out;
    std::ifstream file{source_dir() + "/docs/" + document};
    std::string name;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("<!-- vector ")) {
            std::istringstream{line.substr(12)} >> name;
        } else if (line == "```hex" && !name.empty()) {
            auto& block = out[name];
            while (std::getline(file, line) && line != "```") {
                std::istringstream words{line};
                for (std::string word; words >> word;) {
                    block.push_back(static_cast<std::byte>(std::stoi(word, nullptr, 16)));
                }
            }
            name.clear();
        }
    }
    return out;
}

/// As a block shows them.
inline std::string hex(std::span<const std::byte> raw) {
    std::ostringstream out;
    for (std::size_t i = 0; i < raw.size(); ++i) {
        static constexpr char digits[] = "0123456789abcdef";
        out << (i == 0 ? "" : i % 16 == 0 ? "\n" : " ")
            << digits[static_cast<unsigned>(raw[i]) >> 4]
            << digits[static_cast<unsigned>(raw[i]) & 15];
    }
    return out.str();
}

}  // namespace bzmq::testing
