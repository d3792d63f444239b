#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

namespace bzmq::testing {

/// A folder that goes with the test.
struct scratch {
    std::string path = std::filesystem::temp_directory_path() / "bzmq-store-XXXXXX";
    scratch() { EXPECT_NE(::mkdtemp(path.data()), nullptr); }
    ~scratch() { std::filesystem::remove_all(path); }
    scratch(const scratch&) = delete;
    scratch& operator=(const scratch&) = delete;
};

}  // namespace bzmq::testing
