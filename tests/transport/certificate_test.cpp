#include "bzmq/certificate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/allow_list.hpp"
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace bzmq::transport {
namespace {

using testing::HasSubstr;

class certificate_files : public testing::Test {
  protected:
    void SetUp() override {
        std::string path = std::filesystem::temp_directory_path() / "bzmq-certificate-XXXXXX";
        directory = ::mkdtemp(path.data());
    }
    void TearDown() override { std::filesystem::remove_all(directory); }

    std::string at(const std::string& name) const { return directory + "/" + name; }
    void put(const std::string& name, const std::string& text) const {
        std::ofstream{at(name)} << text;
    }
    static unsigned mode(const std::string& path) {
        struct stat info {};
        ::stat(path.c_str(), &info);
        return info.st_mode & 07777;
    }
    /// Runs Python code that finds the directory in `d`; false where it fails.
    bool python(const std::string& code) const {
        put("code.py", "d = '" + directory + "'\n" + code);
        return std::system(
                   ("/usr/bin/python3 " + at("code.py") + " > " + at("out") + " 2>&1").c_str())
               == 0;
    }
    std::string output() const {
        std::stringstream all;
        all << std::ifstream{at("out")}.rdbuf();
        return all.str();
    }

    std::string directory;
};

TEST_F(certificate_files, both_files_read_back) {
    auto made = generate_certificate().value();
    made.metadata = {{"name", "worker 1"}, {"email", "ops@example.org"}};
    ASSERT_TRUE(write_certificate(at("w"), made));
    EXPECT_EQ(mode(at("w.key_secret")), 0600U);
    EXPECT_EQ(mode(at("w.key")), 0644U);
    const auto full = load_certificate(at("w.key_secret")).value();
    EXPECT_EQ(full.public_key, made.public_key);
    EXPECT_STREQ(full.secret.reveal(), made.secret.reveal());
    EXPECT_EQ(full.metadata, made.metadata);
    const auto open = load_certificate(at("w.key")).value();
    EXPECT_EQ(open.public_key, made.public_key);
    EXPECT_TRUE(open.secret.empty());
    EXPECT_EQ(open.metadata, made.metadata);
    for (const auto& entry : std::filesystem::directory_iterator{directory}) {
        EXPECT_THAT(entry.path().filename().string(), testing::AnyOf("w.key", "w.key_secret"));
    }
}

TEST_F(certificate_files, nothing_is_overwritten_unless_forced) {
    const auto first = generate_certificate().value(), second = generate_certificate().value();
    ASSERT_TRUE(write_certificate(at("w"), first));
    std::filesystem::remove(at("w.key_secret"));
    const auto refused = write_certificate(at("w"), second);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), ec::cannot_write_file);
    EXPECT_THAT(refused.error().message(), HasSubstr("w.key"));
    EXPECT_FALSE(std::filesystem::exists(at("w.key_secret")));
    put("w.key_secret", "");
    ASSERT_TRUE(write_certificate(at("w"), second, true));
    EXPECT_EQ(mode(at("w.key_secret")), 0600U);
    EXPECT_EQ(load_certificate(at("w.key")).value().public_key, second.public_key);
    EXPECT_EQ(write_certificate(at("no/such/place"), first).error(), ec::cannot_write_file);
}

TEST_F(certificate_files, malformed_input_is_refused_with_file_and_line) {
    const auto made = generate_certificate().value(), other = generate_certificate().value();
    EXPECT_EQ(write_certificate("", generate_certificate().value()).error(), ec::cannot_write_file);
    EXPECT_EQ(write_certificate(at(""), generate_certificate().value()).error(),
              ec::cannot_write_file);
    EXPECT_EQ(load_certificate(at("absent")).error(), ec::cannot_open_file);
    EXPECT_EQ(load_certificate(directory).error(), ec::cannot_open_file);
    put("empty", "# nothing\n");
    EXPECT_EQ(load_certificate(at("empty")).error(), ec::invalid_certificate);
    put("bad", "metadata\ncurve\n    public-key = \"abc\"\n");
    const auto bad = load_certificate(at("bad"));
    EXPECT_EQ(bad.error(), ec::invalid_certificate);
    EXPECT_THAT(bad.error().message(), HasSubstr("bad:3:"));
    put("mixed", "curve\n public-key = \"" + made.public_key + "\"\n secret-key = \""
                     + other.secret.reveal() + "\"\n");
    const auto mixed = load_certificate(at("mixed"));
    EXPECT_EQ(mixed.error(), ec::invalid_certificate);
    EXPECT_THAT(mixed.error().message(), testing::Not(HasSubstr(other.secret.reveal())));
    auto strange = made;
    strange.metadata = {{"public-key", "x"}};
    EXPECT_EQ(write_certificate(at("s"), strange).error(), ec::invalid_certificate);
    strange.metadata = {{"a", "two\nlines"}};
    EXPECT_EQ(write_certificate(at("s"), strange).error(), ec::invalid_certificate);
}

TEST_F(certificate_files, pyzmq_reads_ours_and_we_read_those_of_pyzmq) {
    if (!python("import zmq.auth")) {
        GTEST_SKIP() << "no pyzmq for /usr/bin/python3";
    }
    auto made = generate_certificate().value();
    made.metadata = {{"name", "ours"}};
    ASSERT_TRUE(write_certificate(at("ours"), made));
    ASSERT_TRUE(
        python("import zmq.auth\n"
               "p, s = zmq.auth.load_certificate(d + '/ours.key_secret')\n"
               "q, n = zmq.auth.load_certificate(d + '/ours.key')\n"
               "assert n is None and p == q\n"
               "print(p.decode(), s.decode())\n"
               "zmq.auth.create_certificates(d, 'theirs', metadata={'name': 'their worker'})\n"))
        << output();
    EXPECT_EQ(output(), made.public_key + " " + made.secret.reveal() + "\n");
    const auto theirs = load_certificate(at("theirs.key_secret"));
    ASSERT_TRUE(theirs) << to_string(theirs.error());
    EXPECT_FALSE(theirs->secret.empty());
    EXPECT_EQ(theirs->metadata.at("name"), "their worker");
    EXPECT_EQ(load_certificate(at("theirs.key")).value().public_key, theirs->public_key);
}

TEST_F(certificate_files, an_allow_list_is_a_list_a_certificate_or_a_directory) {
    const auto a = generate_certificate().value(), b = generate_certificate().value();
    put("list", "# who may\n\n" + a.public_key + "\n  " + b.public_key + "   # worker\n");
    const auto list = allow_list::load(at("list")).value();
    EXPECT_EQ(list.size(), 2U);
    EXPECT_TRUE(list.contains(a.public_key));
    EXPECT_FALSE(list.contains(a.secret.reveal()));
    ASSERT_TRUE(write_certificate(at("a"), a));
    EXPECT_TRUE(allow_list::load(at("a.key")).value().contains(a.public_key));
    put("more.key", b.public_key + "\n");
    const auto all = allow_list::load(directory).value();
    EXPECT_EQ(all.size(), 2U);
    put("bad", "nonsense\n");
    const auto bad = allow_list::load(at("bad"));
    EXPECT_EQ(bad.error(), ec::invalid_certificate);
    EXPECT_THAT(bad.error().message(), HasSubstr("bad:1:"));
    EXPECT_EQ(allow_list::load(at("absent")).error(), ec::cannot_open_file);
}

TEST_F(certificate_files, an_allow_list_follows_its_source_and_survives_its_loss) {
    const auto a = generate_certificate().value(), b = generate_certificate().value();
    put("list", a.public_key + "\n");
    auto list = allow_list::load(at("list")).value();
    EXPECT_FALSE(list.reload_if_changed().value());
    put("list", b.public_key + "\n");  // Same size, and perhaps the same time stamp.
    EXPECT_TRUE(list.reload_if_changed().value());
    EXPECT_TRUE(list.contains(b.public_key));
    put("list", "nonsense\n");
    EXPECT_EQ(list.reload_if_changed().error(), ec::invalid_certificate);
    std::filesystem::remove(at("list"));
    EXPECT_EQ(list.reload_if_changed().error(), ec::cannot_open_file);
    EXPECT_TRUE(list.contains(b.public_key));
    put("list", a.public_key + "\n");
    EXPECT_TRUE(list.reload_if_changed().value());
    EXPECT_FALSE(list.contains(b.public_key));
}

TEST_F(certificate_files, an_allow_directory_follows_files_that_come_and_go) {
    const auto a = generate_certificate().value(), b = generate_certificate().value();
    auto list = allow_list::load(directory).value();
    EXPECT_EQ(list.size(), 0U);
    ASSERT_TRUE(write_certificate(at("a"), a));
    ASSERT_TRUE(write_certificate(at("b"), b));
    EXPECT_TRUE(list.reload_if_changed().value());
    EXPECT_EQ(list.size(), 2U);
    std::filesystem::remove(at("a.key"));
    EXPECT_TRUE(list.reload_if_changed().value());
    EXPECT_FALSE(list.contains(a.public_key));
}

TEST_F(certificate_files, a_bad_file_in_an_allow_directory_holds_up_no_other) {
    const auto a = generate_certificate().value(), b = generate_certificate().value(),
               c = generate_certificate().value();
    put("a.key", a.public_key + "\n");
    put("b.key", b.public_key + "\n");
    auto list = allow_list::load(directory).value();
    put("a.key", "nonsense\n");
    std::filesystem::remove(at("b.key"));
    put("c.key", c.public_key + "\n");
    const auto told = list.reload_if_changed();
    EXPECT_EQ(told.error(), ec::invalid_certificate);
    EXPECT_THAT(told.error().message(), HasSubstr("a.key:1:"));
    EXPECT_TRUE(list.contains(a.public_key)) << "as it was";
    EXPECT_FALSE(list.contains(b.public_key));
    EXPECT_TRUE(list.contains(c.public_key));
    EXPECT_EQ(list.reload_if_changed().error(), ec::invalid_certificate) << "until it is mended";
    std::filesystem::remove(at("a.key"));
    EXPECT_TRUE(list.reload_if_changed().value());
    EXPECT_FALSE(list.contains(a.public_key));
}

}  // namespace
}  // namespace bzmq::transport
