#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/log_bound.hpp"
#include "cluster/process.hpp"
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace bzmq::cli {
namespace {

namespace fs = std::filesystem;

class supervision : public testing::Test {
  protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() / ("bzmq-supervision-" + std::to_string(getpid()));
        fs::remove_all(folder_);
        fs::create_directories(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }

    std::string file() const { return folder_ / "node.log"; }
    static void write(const std::string& path, const std::string& text) {
        std::ofstream{path, std::ios::binary} << text;
    }
    static std::string read(const std::string& path) {
        std::ifstream in{path, std::ios::binary};
        return {std::istreambuf_iterator<char>{in}, {}};
    }

    fs::path folder_;
};

TEST_F(supervision, a_bounded_log_tells_where_its_older_half_begins) {
    write(file(), "one\ntwo\nthree\n");
    const auto cut = bound_log(file(), 8);
    ASSERT_TRUE(cut) << to_string(cut.error());
    EXPECT_EQ(*cut, 8U) << "the rest of the line that the last 8 bytes begin in is left out";
    EXPECT_EQ(read(file() + ".1"), "three\n");
    EXPECT_EQ(read(file()), "");
    write(file(), "four\n");
    EXPECT_EQ(bound_log(file(), 8).value(), std::nullopt);
    EXPECT_EQ(bound_log(folder_ / "nothing", 8).value(), std::nullopt);
}

TEST_F(supervision, a_log_whose_older_half_cannot_take_its_place_stays_whole) {
    write(file(), "one\ntwo\n");
    fs::create_directories(file() + ".1/in/the/way");
    EXPECT_FALSE(bound_log(file(), 4));
    EXPECT_EQ(read(file()), "one\ntwo\n");
    EXPECT_FALSE(fs::exists(file() + ".1.part"));
}

TEST_F(supervision, a_program_that_ends_at_once_is_known_all_the_same) {
    for (int i = 0; i < 50; ++i) {
        const auto who = spawn({{"true"}, "/dev/null", {}, {}});
        ASSERT_TRUE(who) << to_string(who.error());
        EXPECT_GT(who->start, 0U);
        ::waitpid(who->pid, nullptr, 0);
    }
}

}  // namespace
}  // namespace bzmq::cli
