"""The explorer: a local web page that shows a clip, its motion and what each mask hides. Without a run it needs no torch.

library     the videos that may be chosen: of a folder or a set, and each session's uploads
view        what a page asks for, checked: a clip, a mask
controls    the masks and their options, as controls of the page
reading     clips and thumbnails, read in processes that can be killed
pictures    frames, motion and masks in the form that the page draws
reproduce   the command and the lines of Python that give the same view
server      the routes
guard       who may ask: Host, Origin, token, session
serve       the port, the token, and the web server
page/       the page: HTML, CSS and JavaScript without a framework
"""
