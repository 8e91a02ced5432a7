"""The page of `offstride sharpen`: before and after."""
